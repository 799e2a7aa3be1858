"""The canonical form of a diff: what is left out of its hash and what is not."""

import random
import subprocess
from pathlib import Path

import pytest

from ameide.infra.diff_hash import DIFF_OPTIONS, READ_OPTIONS, diff_hash, patch_hash

DIFF = b"""\
diff --git a/a.py b/a.py
index 1111111..2222222 100644
--- a/a.py
+++ b/a.py
@@ -3,0 +4,2 @@ def f():
+    one
+    two
@@ -9 +11 @@ def g():
-old
+new
\\ No newline at end of file
"""


def _replaced(old: bytes, new: bytes) -> bytes:
    assert old in DIFF
    return DIFF.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@@ -3,0 +4,2 @@ def f():", b"@@ -30,0 +41,2 @@ class X:"),
        (b"index 1111111..2222222 100644", b"index 3333333..4444444 100644"),
    ],
)
def test_what_depends_on_the_base_does_not_count(old: bytes, new: bytes) -> None:
    assert diff_hash(_replaced(old, new)) == diff_hash(DIFF)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"+    one\n", b"+   one\n"),
        (b"-old\n", b"-older\n"),
        (b"+++ b/a.py", b"+++ b/b.py"),
        (b"\\ No newline at end of file\n", b""),
        (b"index 1111111..2222222 100644\n", b"old mode 100644\nnew mode 100755\nindex 1111111..2222222\n"),
    ],
)
def test_paths_modes_and_lines_count(old: bytes, new: bytes) -> None:
    assert diff_hash(_replaced(old, new)) != diff_hash(DIFF)


def test_a_line_that_looks_like_a_header_is_content() -> None:
    one = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-index 1\n+index 2\n"
    two = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-index 1\n+index 3\n"
    assert diff_hash(one) != diff_hash(two)


def git(folder: Path, *argv: str) -> bytes:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    return subprocess.run(["git", *identity, "-C", folder, *argv], check=True, capture_output=True).stdout


def test_a_patch_with_context_has_the_hash_of_its_diff(tmp_path: Path) -> None:
    """On changes of all kinds: far apart and near, at both ends, with and without a last line break, binary."""
    dice = random.Random(5)
    git(tmp_path, "init", "-q", "-b", "main")
    lines = [f"line {number % 7}" for number in range(60)]
    for number in range(12):
        for name in ("a.txt", "b.txt", f"c {number % 2}.txt"):
            some = [line for line in lines if dice.random() > 0.1]
            for _ in range(dice.randrange(4)):
                words = ("-- a", "++ b", "@@ -1 +1 @@", "\\ No newline", "index 1", "", f"new {number}")
                some.insert(dice.randrange(len(some)), dice.choice(words))
            (tmp_path / name).write_text("\n".join(some) + dice.choice(["", "\n"]))
        (tmp_path / "d.bin").write_bytes(dice.randbytes(300))
        (tmp_path / "a.txt").chmod(dice.choice([0o644, 0o755]))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", str(number), "--allow-empty")
    for number in range(11):
        span = (f"HEAD~{number + 1}", "HEAD")
        diff, patch = (git(tmp_path, "diff", *options, *span) for options in (DIFF_OPTIONS, READ_OPTIONS))
        assert patch_hash(patch) == diff_hash(diff), number
        assert patch_hash(patch.replace(b"line 3", b"line 4", 1)) != diff_hash(diff) or b"\n line 3" in patch
