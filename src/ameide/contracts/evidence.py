"""Where the evidence of an attempt lies in the object store, and what its artifacts may be called (contracts 4)."""

from __future__ import annotations

import re

ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""One segment of a path: letters, digits, '.', '_' and '-', at most 128 of them, a letter or digit first."""


def folder_of_tenant(tenant_id: str) -> str:
    """The uri under which all artifacts of a tenant lie, with a slash at its end."""
    return f"store:work/{tenant_id}/"


def folder_of_attempt(tenant_id: str, work_request_id: str, attempt: int, claim_id: str) -> str:
    """The uri under which the artifacts of an attempt lie, with a slash at its end."""
    return f"{folder_of_tenant(tenant_id)}{work_request_id}/{attempt}-{claim_id}/"
