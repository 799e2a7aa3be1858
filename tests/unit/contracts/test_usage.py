"""Usage in numbers that only grow."""

from ameide.contracts.usage import added, highest, spent, tokens_of
from ameide_core_proto.transformation.work.v1.work_pb import Budget, Usage


def test_every_number_is_added_and_the_last_model_named() -> None:
    usages = [Usage(input_tokens=7, cost_micros=2, model="a"), Usage(output_tokens=3, model="b"), Usage(input_tokens=1)]
    assert added(usages) == Usage(input_tokens=8, output_tokens=3, cost_micros=2, model="b")
    assert added([]) == Usage()


def test_each_number_is_compared_for_itself() -> None:
    assert highest(Usage(input_tokens=7, output_tokens=1), Usage(input_tokens=2, output_tokens=4)) == Usage(
        input_tokens=7, output_tokens=4
    )


def test_a_budget_of_tokens_counts_input_and_output() -> None:
    usage = Usage(input_tokens=7, output_tokens=3, cost_micros=5)
    assert tokens_of(usage) == 10
    assert spent(usage) == Budget(max_tokens=10, max_cost_micros=5)
