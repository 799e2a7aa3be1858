"""The workflows: deterministic, orchestration only. They import contracts and messages, nothing that does I/O."""

from ameide.process.workflows.governance import GovernanceRun

__all__ = ["GovernanceRun"]
