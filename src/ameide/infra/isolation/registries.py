"""The package registries that verify reaches: those of the machine's clients, and those that the operator's variables
name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from ameide.infra.isolation.clients import hosts_in, registry_hosts
from ameide.infra.isolation.rules import Allowlist

_NAMED_IN = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_FIND_LINKS",
    "npm_config_registry",
    "GOPROXY",
    "GOSUMDB",
)


async def registries(operator: Mapping[str, str], python: Path, search_path: tuple[Path, ...]) -> Allowlist:
    """The allowlist of package registries. `operator` holds the operator's variables."""
    own = await asyncio.to_thread(registry_hosts, python, search_path)
    return Allowlist.of((*own, *named(operator)), "AMEIDE_VERIFY_HOSTS")


def named(operator: Mapping[str, str]) -> tuple[str, ...]:
    """``host:port`` of each registry that a variable of the operator names."""
    return tuple(host for name in _NAMED_IN for host in hosts_in(operator.get(name, "")))
