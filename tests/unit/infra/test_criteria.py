"""Which tests name which acceptance criterion: their own word, and only of tests that the change wrote."""

from __future__ import annotations

from ameide.infra.tools.cases import TestCase, Verdict
from ameide.infra.tools.criteria import named_criteria

OLD = """
def test_of_another_change():
    "Criterion 1 of another change."
    assert True
"""
NEW = (
    OLD
    + """
def test_cancels():
    '''AC-1: an open order can be canceled.'''
    assert True

class TestShipped:
    async def test_ac2_stays(self):
        assert True  # criterion #3, too

@mark.parametrize("order", ["criterion 4", "another"])
def test_orders(order):
    assert order

def test_traces_and_macros_12():
    assert "faces 2"
"""
)
GO = """
func TestOther(t *testing.T) {}

// Criterion 2: a shipped order stays.
func TestShippedStays(t *testing.T) {
}
func TestAC3Cancels(t *testing.T) {
}
"""


class Files:
    """A tree in memory."""

    def __init__(self, **files: str) -> None:
        self._files = {name.replace("__", "/").replace("_DOT_", "."): text for name, text in files.items()}

    async def paths(self) -> list[str]:
        return sorted(self._files)

    async def read(self, path: str) -> bytes | None:
        return self._files[path].encode() if path in self._files else None


async def named(base: Files, head: Files, changed: dict[str, str], *ids: str) -> dict[str, list[str]]:
    cases = [TestCase(id, Verdict.FAILED if "red" in id else Verdict.PASSED) for id in ids]
    found = await named_criteria(base, head, changed, list(changed), cases)
    return {number: [f"{one['check']} {one['status']}" for one in namings] for number, namings in found.items()}


async def test_a_python_test_names_a_criterion_in_its_name_docstring_or_comment() -> None:
    path = "tests/test_a.py"
    tests = [f"{path}::{name}" for name in ("test_cancels", "TestShipped::test_ac2_stays", "test_traces_and_macros_12")]
    tests += [f"{path}::test_orders[criterion 4]", f"{path}::test_orders[another]", f"{path}::test_of_another_change"]
    found = await named(Files(tests__test_a_DOT_py=OLD), Files(tests__test_a_DOT_py=NEW), {path: "M"}, *tests)
    shipped = f"{path}::TestShipped::test_ac2_stays passed"
    assert found == {
        "1": [f"{path}::test_cancels passed"],
        "2": [shipped],
        "3": [shipped],
        "4": [f"{path}::test_orders[criterion 4] passed", f"{path}::test_orders[another] passed"],
    }


async def test_a_test_of_another_language_is_near_to_what_names_the_criterion() -> None:
    found = await named(
        Files(),
        Files(orders_test_DOT_go=GO),
        {"orders_test.go": "A"},
        "orders::TestShippedStays",
        "orders::TestAC3Cancels",
    )
    assert found == {"2": ["orders::TestShippedStays passed"], "3": ["orders::TestAC3Cancels passed"]}


async def test_a_deleted_or_unreadable_file_names_nothing() -> None:
    assert await named(Files(), Files(), {"tests/test_a.py": "D"}, "tests/test_a.py::test_ac1") == {}
    broken = Files(tests__test_a_DOT_py="def test_ac1(:")
    assert await named(Files(), broken, {"tests/test_a.py": "A"}, "tests/test_a.py::test_ac1") == {}
