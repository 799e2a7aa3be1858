"""``python -m ameide.engine CACHE_DIR``: build the embedded Temporal server ahead of its first use."""

import sys
from pathlib import Path

from ameide.engine.errors import InstallError
from ameide.engine.install import TemporalInstall


def main(arguments: list[str]) -> int:
    """Exit code 0 when the server is in the cache folder, 1 when it could not be built, 2 for wrong usage."""
    if len(arguments) != 1:
        print("usage: python -m ameide.engine CACHE_DIR", file=sys.stderr)
        return 2
    try:
        TemporalInstall(Path(arguments[0]).expanduser(), lambda line: print(line, flush=True)).ensure()
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
