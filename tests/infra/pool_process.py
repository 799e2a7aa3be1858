"""A real pool for the tests: the settings come from the environment, as they do for `ameide executor pool`."""

import asyncio

from ameide import config, logs
from ameide.app.executors import CHILD
from ameide.infra.runners.pool import run_pool
from ameide.infra.settings import OPERATOR_VARIABLES, STORE_VARIABLES

if __name__ == "__main__":
    logs.configure()
    settings = config.read()
    names = (*OPERATOR_VARIABLES, *STORE_VARIABLES, *settings.credential_variables)
    asyncio.run(run_pool(settings, config.passed_through(names), CHILD))
