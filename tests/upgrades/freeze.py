"""What a released version left in the world may not be rewritten: its migrations, its histories, its databases.

    python -m tests.upgrades.freeze

adds the files that are new to `frozen.sha256`. A line that is there never changes; what no run needs any more is taken
out together with its file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANIFEST = Path(__file__).parent / "frozen.sha256"
_KINDS = (
    "src/ameide/storage/migrations/*.sql",
    "tests/replay/histories/*.json",
    "tests/upgrades/databases/*.sql",
)


def sha256(path: Path) -> str:
    """Of the bytes of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frozen() -> dict[str, str]:
    """The hash of each frozen file, by its path from the root of the repository."""
    lines = MANIFEST.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def main() -> None:
    """Add what is new."""
    known = frozen()
    for kind in _KINDS:
        for path in sorted(ROOT.glob(kind)):
            name = path.relative_to(ROOT).as_posix()
            if name not in known:
                known[name] = sha256(path)
                print(name)
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items()))
    MANIFEST.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
