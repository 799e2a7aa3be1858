"""Helm, which renders the chart."""

from pathlib import Path

from tests.engines.go_programs import GoPrograms, Say

VERSION = "4.0.0"

PROGRAMS = GoPrograms(
    name=f"helm-{VERSION}",
    source=Path(__file__).parent,
    programs={"helm": "helm.sh/helm/v4/cmd/helm"},
    takes="two minutes on two cores",
)


def set_up(cache_dir: Path, say: Say) -> None:
    """Build it unless it is there."""
    PROGRAMS.ensure(cache_dir, say)
