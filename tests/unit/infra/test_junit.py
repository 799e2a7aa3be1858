"""JUnit XML as hostile code may write it."""

from __future__ import annotations

import pytest

from ameide.infra.tools.cases import MAX_CASES, Files, ReportRefused, Verdict, executed
from ameide.infra.tools.junit import read_junit

PATHS = ["tests/test_a.py", "test_b.py"]


def report(cases: str) -> bytes:
    return f"<testsuites><testsuite>{cases}</testsuite></testsuites>".encode()


@pytest.mark.parametrize(
    ("case", "id"),
    [
        ('<testcase classname="tests.test_a.TestX" name="test_y[1]"/>', "tests/test_a.py::TestX::test_y[1]"),
        ('<testcase classname="test_b" name="test_y"/>', "test_b.py::test_y"),
        ('<testcase file="tests/test_a.py" classname="tests.test_a.TestX" name="t"/>', "tests/test_a.py::TestX::t"),
        ('<testcase classname="com.example.Some" name="works"/>', "com.example.Some::works"),
        ("<testcase/>", "unnamed"),
    ],
)
def test_ids_are_stable_and_lead_to_the_file(case: str, id: str) -> None:
    assert [found.id for found in read_junit(report(case), Files.of(PATHS))] == [id]


def test_the_worst_verdict_of_a_test_counts() -> None:
    twice = '<testcase name="t"/><testcase name="t"><error message="teardown">trace</error></testcase>'
    (case,) = read_junit(report(twice), Files.of(PATHS))
    assert (case.verdict, case.message) == (Verdict.FAILED, "teardown\ntrace")


def test_a_skipped_test_has_not_run() -> None:
    cases = read_junit(
        report('<testcase name="a"/><testcase name="b"><skipped message="no"/></testcase>'), Files.of(PATHS)
    )
    assert executed(cases) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><testsuites/>', "declares a document type"),
        (
            '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><testsuites/>'.encode("utf-16"),
            "document",
        ),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuites/>', "declares a document type"),
        (b"<html/>", "its root is <html>"),
        (b"<testsuites>", "well-formed"),
        (b"", "well-formed"),
        (b"<testsuites>" + b"<a>" * 40, "nest deeper"),
        (report("".join(f'<testcase name="{n}"/>' for n in range(MAX_CASES + 1))), "more than"),
    ],
)
def test_what_no_runner_writes_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ReportRefused, match=why):
        read_junit(data, Files.of(PATHS))
