#!/usr/bin/env python3
"""The scripted coder of the acceptance tests: what it does is named in the title of the requirement."""

import re
import sys
from pathlib import Path

prompt = sys.stdin.read()


def rewrite(path: str, old: str, new: str) -> None:
    file = Path(path)
    file.write_text(file.read_text().replace(old, new, 1))


def remark() -> None:
    Path("src").mkdir(exist_ok=True)
    with Path("NOTES.md").open("a") as notes:
        notes.write("A remark of the coder.\n")


def break_shipping() -> None:
    store = next(Path(".").rglob("store.py"))
    store.write_text(
        re.sub(r"(def ship\(.*?\n)", r"\1        raise RuntimeError('broken')\n", store.read_text(), count=1)
    )


ACTS = {
    "remark": [remark],
    "delete the failing test": [
        break_shipping,
        lambda: [f.unlink() for f in Path("tests").glob("test_*.py") if "ship" in f.read_text()],
    ],
    "skip the failing test": [
        break_shipping,
        lambda: [
            f.write_text("import pytest\npytestmark = pytest.mark.skip\n" + f.read_text())
            for f in Path("tests").glob("test_*.py")
        ],
    ],
    "edit ameide.yaml": [lambda: rewrite("ameide.yaml", "version", "# touched\nversion")],
    "set verify to true": [
        break_shipping,
        lambda: Path("ameide.yaml").write_text(
            re.sub(r"run: \[.*pytest.*\]", 'run: ["true"]', Path("ameide.yaml").read_text())
        ),
    ],
    "green": [lambda: Path("tests/test_added.py").write_text("def test_added():\n    assert True\n")],
    "nothing": [],
}

for name, acts in ACTS.items():
    if f"act: {name}" in prompt.lower():
        for act in acts:
            act()
        sys.exit(0)
sys.exit(f"no act is named in the prompt: {prompt[:400]}")
