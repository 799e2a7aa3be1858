"""Tokens, money and time as people read them."""

import pytest

from ameide.cli.cost_view import limit, money, print_costs, span
from ameide_core_proto.transformation.governance.v1.query_service_pb import Cost, StepCost
from ameide_core_proto.transformation.work.v1.work_pb import Budget, FailureCode, Usage, WorkStatus


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0, "0.0s"), (1540, "1.5s"), (59_400, "59.4s"), (59_600, "1m00s"), (61_000, "1m01s"), (7_260_000, "2h01m")],
)
def test_a_span_is_told_in_its_largest_units(milliseconds: int, shown: str) -> None:
    assert span(milliseconds) == shown


def test_money_and_limits_are_told_in_whole_units() -> None:
    assert (money(0), money(1_234_500)) == ("0", "1.2345")
    assert limit(Budget(max_tokens=500, max_cost_micros=20_000)) == "500 tokens and 0.0200 of money"
    assert limit(None) == "no limit"


def test_the_table_has_a_row_a_step_and_sums_below(capsys: pytest.CaptureFixture[str]) -> None:
    usage = Usage(input_tokens=90, output_tokens=10, cost_micros=1_500_000)
    first = StepCost(
        run_number=1,
        step="coder",
        iteration=1,
        attempts=2,
        usage=usage,
        queue_wait_ms=400,
        wall_time_ms=62_000,
        status=WorkStatus.FAILED,
        failure_code=FailureCode.BUDGET_EXHAUSTED,
    )
    taken = StepCost(run_number=2, step="coder", iteration=1, reused_from="r2r/t/chg-1/1", status=WorkStatus.SUCCEEDED)
    runs = [Cost(run_number=1, works=1, usage=usage, wall_time_ms=62_000), Cost(run_number=2)]
    print_costs([first, taken], runs, Cost(works=1, usage=usage, queue_wait_ms=400, wall_time_ms=62_000))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert lines[0] == ["RUN", "STEP", "#", "TRIES", "TOKENS", "IN", "OUT", "COST", "WAITED", "TOOK", "STATUS"]
    assert lines[1] == [
        "1",
        "coder",
        "1",
        "2",
        "90",
        "10",
        "1.5000",
        "0.4s",
        "1m02s",
        "failed",
        "(budget",
        "exhausted)",
    ]
    assert lines[2][-3:] == ["reused", "from", "r2r/t/chg-1/1"]
    assert [line[:2] for line in lines[3:]] == [["run", "1"], ["run", "2"], ["total", "90"]]


def test_nothing_was_asked_for_yet(capsys: pytest.CaptureFixture[str]) -> None:
    print_costs([], [], Cost())
    assert capsys.readouterr().out == ""
