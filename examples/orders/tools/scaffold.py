"""Writes docs/requirements/<change>.md, so that the acceptance criteria stand beside the code that fulfils them.

Reads the file named by AMEIDE_REQUIREMENT_FILE: {"change_id", "title", "text", "acceptance_criteria": [...]}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> int:
    source = os.environ.get("AMEIDE_REQUIREMENT_FILE", "")
    if not source:
        print("AMEIDE_REQUIREMENT_FILE names no file; run `ameide scaffold --requirement FILE`.", file=sys.stderr)
        return 2
    requirement = json.loads(Path(source).read_text())
    lines = [f"# {requirement['title']}", "", requirement["text"].strip(), "", "## Acceptance criteria", ""]
    lines += [f"{number}. {text}" for number, text in enumerate(requirement["acceptance_criteria"], 1)]
    target = Path("docs/requirements") / f"{Path(requirement['change_id']).name}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n")
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
