"""The chart's own tools, from the cache: `make engines` puts them there."""

from pathlib import Path

import pytest

from tests.chart.rendering import Helm
from tests.engines import helm as helm_engine


@pytest.fixture(scope="session")
def helm(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The real Helm."""
    return Helm(helm_engine.PROGRAMS.path(cache_dir, "helm"), tmp_path_factory.mktemp("helm"))
