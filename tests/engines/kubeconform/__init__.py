"""kubeconform, which compares what the chart renders with the schemas of what it is for."""

from pathlib import Path

from tests.engines.go_programs import GoPrograms, Say
from tests.engines.kubeconform.schemas import SCHEMAS

VERSION = "0.7.0"

PROGRAMS = GoPrograms(
    name=f"kubeconform-{VERSION}",
    source=Path(__file__).parent,
    programs={"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"},
    takes="half a minute on two cores",
)


def set_up(cache_dir: Path, say: Say) -> None:
    """Build it, and convert the schemas, unless they are there."""
    PROGRAMS.ensure(cache_dir, say)
    SCHEMAS.ensure(cache_dir, say)
