"""`ameide budget`: what was allotted, used and held, and setting it over the version that was seen."""

from __future__ import annotations

import json

from ameide_core_proto.common.v1.metadata_pb import Actor
from ameide_core_proto.transformation.governance.v1.governance_pb import BudgetPeriod, TenantBudget
from ameide_core_proto.transformation.governance.v1.query_service_pb import GetTenantBudgetResponse
from ameide_core_proto.transformation.work.v1.work_pb import Budget

from .conftest import CommandLine, Script


def _allotted() -> GetTenantBudgetResponse:
    return GetTenantBudgetResponse(
        tenant_budget=TenantBudget(
            budget=Budget(max_tokens=2000, max_cost_micros=5_000_000),
            period=BudgetPeriod.CALENDAR_MONTH,
            allotted_by=Actor(principal_id="olga"),
            version=3,
        ),
        used=Budget(max_tokens=350, max_cost_micros=1_500_000),
        reserved=Budget(max_tokens=600),
    )


def test_show_tells_what_is_left(ameide: CommandLine, script: Script) -> None:
    script.budget = _allotted()
    lines = dict(line.split("  ", 1) for line in ameide("budget", "show").out.splitlines())
    told = {name: value.strip() for name, value in lines.items()}
    assert told["budget"] == "2000 tokens and 5.0000 of money, a calendar month (UTC)"
    assert told["by"] == "olga"
    assert told["used"] == "350 tokens and 1.5000 of money"
    assert told["held"] == "600 tokens"
    assert told["left"] == "1050 tokens and 3.5000 of money"


def test_a_tenant_without_a_budget_is_shown_what_it_used(ameide: CommandLine, script: Script) -> None:
    script.budget = GetTenantBudgetResponse(used=Budget(max_tokens=5))
    assert ameide("budget", "show").out.splitlines() == ["budget  no limit", "used    5 tokens", "held    nothing"]
    assert json.loads(ameide("budget", "show", "--json").out)["used"]["maxTokens"] == "5"


def test_what_is_left_out_stays_as_it_was(ameide: CommandLine, script: Script) -> None:
    script.budget = _allotted()
    answer = ameide("budget", "set", "--tokens", "9000", "--period", "in-all", "--comment", "two teams")
    assert answer.out == "The tenant may use 9000 tokens and 5.0000 of money, in all.\n"
    [command] = script.allotted
    assert (command.expected_version, command.comment) == (3, "two teams")
    assert command.budget == Budget(max_tokens=9000, max_cost_micros=5_000_000)


def test_what_was_set_is_there_for_the_next_command(ameide: CommandLine, script: Script) -> None:
    script.budget, script.behind = _allotted(), 1
    assert ameide("budget", "set", "--tokens", "9000").code == 0
    assert ameide("budget", "set", "--cost-micros", "7000000").code == 0
    first, second = script.allotted
    assert (first.expected_version, second.expected_version) == (3, 4)
    assert second.budget == Budget(max_tokens=9000, max_cost_micros=7_000_000)


def test_the_first_budget_is_for_a_month(ameide: CommandLine, script: Script) -> None:
    ameide("budget", "set", "--cost-micros", "7")
    [command] = script.allotted
    assert (command.expected_version, command.period) == (0, BudgetPeriod.CALENDAR_MONTH)
    assert command.budget == Budget(max_cost_micros=7)


def test_the_same_again_is_no_new_version(ameide: CommandLine, script: Script) -> None:
    script.budget = _allotted()
    answer = ameide("budget", "set", "--tokens", "2000", "--period", "calendar-month")
    assert answer.out.startswith("The tenant may use 2000 tokens")
    assert script.allotted == []


def test_setting_nothing_is_wrong_usage(ameide: CommandLine, script: Script) -> None:
    answer = ameide("budget", "set")
    assert answer.code == 2
    assert "--tokens" in answer.err
    assert script.allotted == []
