"""Forges: where pull requests are opened and merged."""

from ameide.delivery.forge.local import LocalForge
from ameide.delivery.forge.port import Forge, ForgeError, MergeRefused, PullRequest, PullState

__all__ = ["Forge", "ForgeError", "LocalForge", "MergeRefused", "PullRequest", "PullState", "forge_of"]


def forge_of(repository_url: str) -> Forge:
    """The forge that serves a repository: the local one for a path or a file URL. Raises `ForgeError` for others."""
    if repository_url.startswith(("/", "file://")):
        return LocalForge()
    raise ForgeError(
        f"no forge is known that serves {repository_url}",
        field="gitops_url",
        remedy="Register a gitops repository on a path of this machine.",
    )
