"""The canonical form of a diff: what is left out of its hash and what is not."""

import pytest

from ameide.infra.diff_hash import diff_hash

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
