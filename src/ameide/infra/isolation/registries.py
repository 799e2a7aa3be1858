"""The package registries that verify reaches: the public ones, and those that the operator's variables name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ameide.infra.isolation.rules import Allowlist

PUBLIC: tuple[str, ...] = (
)
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
_PORTS = {"https": 443, "http": 80}


def registries(operator: Mapping[str, str]) -> Allowlist:
    """The allowlist of package registries. `operator` holds the operator's variables."""
    return Allowlist.of((*PUBLIC, *_named(operator)), "AMEIDE_VERIFY_HOSTS")


def _named(operator: Mapping[str, str]) -> Iterator[str]:
    for name in _NAMED_IN:
        # Several are separated by spaces, Go's also by commas and bars; an index of uv may have a name before it.
        for word in re.split(r"[\s,|]+", operator.get(name, "")):
            url = urlsplit(word[word.find("http") :] if "http" in word else word)
            if url.scheme in _PORTS and url.hostname:
                host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
                yield f"{host}:{url.port or _PORTS[url.scheme]}"
