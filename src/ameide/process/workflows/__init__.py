"""The workflows: deterministic, orchestration only. They import contracts and messages, nothing that does I/O."""

from ameide.process.workflows.governance import GovernanceRun
from ameide.process.workflows.triage import TriageRun

__all__ = ["GovernanceRun", "TriageRun"]
