"""``python -m tests.engines NAME…``: set up real engines and programs of the tests ahead of their first use."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import iter_modules

import tests.engines
from ameide import config
from ameide.engine.errors import InstallError

SetUp = Callable[[Path, Callable[[str], None]], None]
"""Puts an engine into the cache folder unless it is there, and says what it does; raises ``InstallError``."""

_NO_ENGINES = ("__main__", "certificates", "go_programs")


def main(names: Sequence[str]) -> int:
    """Exit code 0 when all are there, 1 when one could not be set up, 2 for wrong usage."""
    known = sorted(module.name for module in iter_modules(tests.engines.__path__) if module.name not in _NO_ENGINES)
    if not names or not set(names) <= set(known):
        print(f"usage: python -m tests.engines NAME…\nnames: {', '.join(known)}", file=sys.stderr)
        return 2
    cache_dir = config.read().cache_dir
    try:
        for name in names:
            set_up: SetUp = importlib.import_module(f"tests.engines.{name}").set_up
            set_up(cache_dir, lambda line: print(line, flush=True))
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)
