"""Which pattern covers which path."""

import pytest

from ameide.infra.path_rules import matches


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("src/**", "src/a/b.py", True),
        ("src/**", "srcs/a.py", False),
        ("src", "src/a/b.py", True),
        ("src/", "src/a.py", True),
        ("/src", "src/a.py", True),
        ("/src", "lib/src/a.py", False),
        ("*.py", "deep/down/a.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("**/tests/**", "tests/a.py", True),
        ("**/tests/**", "lib/tests/a.py", True),
        ("ameide.yaml", "ameide.yaml", True),
        ("ameide.yaml", "sub/ameide.yaml", True),
        ("ameide.yaml", "ameide.yaml.bak", False),
        (".github/**", ".github/workflows/ci.yml", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
        ("**", "any/thing", True),
    ],
)
def test_patterns(pattern: str, path: str, covered: bool) -> None:
    assert matches(pattern, path) is covered


def test_denied_patterns_ignore_case() -> None:
    assert matches("CODEOWNERS", "docs/codeowners", ignore_case=True)
    assert not matches("CODEOWNERS", "docs/codeowners")
