"""The size of a machine's search."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

_TIMES = 20


def size(courses: int, steps: int, *, shrink: bool = True) -> settings:
    """So many courses of so many steps: the same ones each time, twenty times as many under the profile `thorough`.

    `shrink`: whether a failing course is made as short as can be, which takes minutes where each step is slow.
    """
    thorough = settings.get_current_profile_name() == "thorough"
    return settings(
        max_examples=courses * (_TIMES if thorough else 1),
        stateful_step_count=steps,
        derandomize=not thorough,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
