"""A running installation, shared by the tests that do not break it, and gone before others want the cores."""

import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches
from tests.acceptance.installation import Installation, remove
from tests.acceptance.packages import PACKAGES
from tests.telemetry.collector import Collector, collecting

CODER = Path(__file__).with_name("coder.py")


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Where the processes of the installation, and the commands on it, send their spans."""
    with collecting() as found:
        yield found


@pytest.fixture(scope="package")
def installation(collector: Collector) -> Iterator[Installation]:
    """`ameide up` with the offline coder's patches and, as coder `command`, the scripted one of these tests."""
    made = Installation.make()
    coder = made.state_dir / "coder.py"
    coder.write_bytes(CODER.read_bytes())
    coder.chmod(0o755)
    shutil.copytree(orders_patches(), made.state_dir / "patches")
    made.settings["AMEIDE_CODER_COMMAND"] = f"python3 {coder}"
    changes = made.state_dir / "changes.json"
    changes.write_text(json.dumps({name: dict(package.change) for name, package in PACKAGES.items()}), encoding="utf-8")
    made.settings["AMEIDE_CHILD_READABLE"] = f"{changes} {made.state_dir / 'holds'}"
    made.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.address
    print(made.ameide("up"))
    yield made
    remove(made)


_names = count(1)


@pytest.fixture
def orders(installation: Installation) -> str:
    """A fresh registered copy of the example with its gitops repository; its name."""
    name = f"orders-{next(_names)}"
    url, gitops = create_orders_remotes(installation.state_dir / "remotes" / name)
    installation.ameide("repo", "add", name, url, "--gitops", gitops)
    return name


@pytest.fixture
def remotes(installation: Installation, orders: str) -> Path:
    """The folder with the bare repositories `orders.git` and `orders-gitops.git` of `orders`."""
    return installation.state_dir / "remotes" / orders
