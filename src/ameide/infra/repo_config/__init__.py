"""`ameide.yaml`: how one repository is scaffolded, generated, verified and built.

What is *allowed* is policy, never here.
"""

from ameide.infra.repo_config.load import CONFIG_FILE, ConfigError, parse
from ameide.infra.repo_config.model import Build, Generate, Output, RepoConfig, Smoke, Suite
from ameide.infra.repo_config.tree import CommitTree, FolderTree, Tree, configuration

__all__ = [
    "CONFIG_FILE",
    "Build",
    "CommitTree",
    "ConfigError",
    "FolderTree",
    "Generate",
    "Output",
    "RepoConfig",
    "Smoke",
    "Suite",
    "Tree",
    "configuration",
    "parse",
]
