"""The KEDA operator, which makes Jobs for what waits in a queue, and the definitions of its resources."""

from pathlib import Path

from tests.engines.go_programs import GoPrograms, Say

VERSION = "2.16.1"

PROGRAMS = GoPrograms(
    name=f"keda-{VERSION}",
    source=Path(__file__).parent,
    programs={"keda-operator": "github.com/kedacore/keda/v2/cmd/operator"},
    kept={"crds": ("github.com/kedacore/keda/v2", "config/crd/bases")},
    takes="five minutes on two cores",
    install="make cluster-engines",
)


def set_up(cache_dir: Path, say: Say) -> None:
    """Build it unless it is there."""
    PROGRAMS.ensure(cache_dir, say)
