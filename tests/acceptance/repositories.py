"""Repositories that a test makes and registers, and what is on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.installation import Installation, git

Policy = dict[str, Any]


def register(installation: Installation, name: str, url: str, change: Callable[[Policy], None] | None = None) -> None:
    """Register a repository that is released nowhere; `change` alters its first policy."""
    installation.ameide("repo", "add", name, url)
    if change is None:
        return
    policy: Policy = installation.json("repo", "policy", "show", name)["policy"]
    change(policy)
    file = installation.state_dir / f"policy-{name}.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    installation.ameide("repo", "policy", "set", name, str(file))


def ungated(*kinds: str) -> Callable[[Policy], None]:
    """A change of policy: these kinds of gate are not asked for."""

    def change(policy: Policy) -> None:
        for rule in policy["gates"]:
            rule["required"] = rule["required"] and rule["kind"].removeprefix("GATE_KIND_") not in kinds

    return change


def person_commits(
    bare: Path, clone: Path, files: dict[str, str], message: str = "A person's commit", branch: str = "main"
) -> str:
    """Commit files on a branch as a person does, in a clone that is made when it is missing, and push; the commit."""
    if not clone.exists():
        git(bare, "clone", "--quiet", str(bare), str(clone))
    git(clone, "fetch", "--quiet", "origin")
    git(clone, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text, encoding="utf-8")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", message)
    git(clone, "push", "--quiet", "origin", f"HEAD:{branch}")
    return git(clone, "rev-parse", "HEAD")
