"""Registries: where images are published, by digest."""

from ameide.delivery.registry.layout import LayoutRegistry
from ameide.delivery.registry.port import DigestMismatch, Registry, RegistryError, digest_of

__all__ = ["DigestMismatch", "LayoutRegistry", "Registry", "RegistryError", "digest_of", "open_registry"]


def open_registry(location: str) -> Registry:
    """The registry at a location: a folder of OCI image layouts. Raises `RegistryError` for another kind."""
    if "://" in location and not location.startswith("file://"):
        raise RegistryError(
            f"{location.split('://')[0]} is no kind of registry that is known here",
            field="AMEIDE_REGISTRY_ROOT",
            remedy="Name a folder; images are kept there as OCI image layouts.",
        )
    return LayoutRegistry(location.removeprefix("file://"))
