"""What a repository without `ameide.yaml` says about its own tests, one module per ecosystem."""

from ameide.infra.repo_config.detecting.choice import detect
from ameide.infra.repo_config.detecting.found import Found

__all__ = ["Found", "detect"]
