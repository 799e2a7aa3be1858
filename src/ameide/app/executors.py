"""What does the work: executors and the store that their evidence goes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ameide import config, logs
from ameide.config import Settings
from ameide.infra.redaction import Redactor
from ameide.infra.roles import codex_variables
from ameide.infra.runners.pool import run_pool
from ameide.infra.settings import OPERATOR_VARIABLES, STORE_VARIABLES


def pool(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Run the worker pool, author and verifier, until SIGTERM or SIGINT."""
    logs.configure(settings.log_level, Redactor(config.secret_values(settings)).text)
    named = (*settings.credential_variables, *codex_variables(settings))
    operator = config.passed_through((*OPERATOR_VARIABLES, *STORE_VARIABLES, *named))

    asyncio.run(run_pool(settings, operator, on_ready))
