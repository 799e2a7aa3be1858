"""Everything that the checks need, started together and ended together: cluster, kubelet, Domain, model, repository."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import git
from tests.chart.rendering import Helm, Rendered
from tests.cluster.api import Api, Object
from tests.cluster.control_plane import PATIENCE, ControlPlane, Say, wait_for
from tests.cluster.image import USER
from tests.cluster.installation import UI_SUITE, Installation
from tests.cluster.jobs import Jobs
from tests.engines import helm
from tests.engines.kafka import broker_in
from tests.infra.responses_endpoint import Endpoint, Run, conversation, serving
from tests.infra.responses_endpoint import Say as Answer

NAMESPACE = "delivery"
NAME = "ameide"
POLLING_SECONDS = 2
ROOM = 20
"""The most Jobs of a queue: more than twice the invitations of any check."""
_EVERY = 10.0  # seconds between two lines of progress
_IMAGE = f"registry.example/checkout@sha256:{'0' * 64}"
_NOBODY = ("analyst", "generate", "publish")
_CODER = conversation(
    Run("printf '\\nOrders can be canceled.\\n' >> README.md && git status --short"), Answer("The README says it.")
)


@dataclass
class Scene:
    """`commit` is the head of the repository; its verification waits at `hold`."""

    folder: Path
    plane: ControlPlane
    installation: Installation
    api: Api
    jobs: Jobs
    hold: Hold
    endpoint: Endpoint
    commit: str
    kubelet_log: Path
    say: Say
    _helm: Helm = field(init=False)

    def __post_init__(self) -> None:
        self._helm = Helm(helm.PROGRAMS.path(self.plane.cache_dir, "helm"), self.folder)

    def wait(self, what: str, there: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until the condition holds, and say now and then for what; fails when a program has ended."""
        said = time.monotonic()

        def check() -> None:
            nonlocal said
            self.plane.check()
            self.installation.check()
            if time.monotonic() - said > _EVERY:
                said = time.monotonic()
                self.say(f"  waiting for {what}")

        wait_for(what, there, patience, check)

    def render(self, **executor: Any) -> Rendered:
        """The chart for this scene; `executor` are values of the executors, to be changed by an edit."""
        shared = [self.hold.path.parent, self.installation.evidence, self.folder / "remotes"]
        volumes = {f"shared-{number}": str(path) for number, path in enumerate(shared)}
        values = {
            "address": self.installation.settings.address,
            "image": {"ref": _IMAGE},
            "temporal": {"address": "127.0.0.1:7233"},
            "objectStore": {"url": self.installation.settings.object_store},
            "control": {
                # They are outside of this cluster, whose nodes run Jobs alone.
                "roles": {
                    role: {"replicas": 0}
                    for role in ("domain", "relay", "forwarder", "sweeper", "ingress", "projector", "worker")
                }
            },
            "queues": {
                **{queue: {"runner": "job", "maxReplicas": ROOM} for queue in ("coder", "verify")},
                "verifyUi": {"runner": "job", "transport": "kafka", "maxReplicas": ROOM},
                **{queue: {"runner": "none"} for queue in _NOBODY},
            },
            "kafka": {"brokers": self.installation.brokers},
            "codex": {"config": (self.folder / "codex" / "config.toml").read_text(encoding="utf-8")},
            "executor": {
                "image": {"ref": _IMAGE},
                "pollingSeconds": POLLING_SECONDS,
                "settings": {"AMEIDE_CHILD_READABLE": str(self.hold.path.parent), **executor.pop("settings", {})},
                "extraVolumes": [{"name": name, "hostPath": {"path": path}} for name, path in volumes.items()],
                "extraVolumeMounts": [{"name": name, "mountPath": path} for name, path in volumes.items()],
                **executor,
            },
        }
        return self._helm.render(values)

    def render_plain(self, **values: Any) -> Rendered:
        """The chart as it comes, with the least values that do, and these."""
        return self._helm.render(values)

    def apply(self, rendered: Rendered) -> list[Object]:
        """Server-side apply of all that `helm install` would make; what the API server made of it."""
        own = [one for one in rendered.objects if "helm.sh/hook" not in one["metadata"].get("annotations", {})]
        return [self.api.apply(one) for one in own]

    def secret(self, name: str, contents: Mapping[str, str]) -> None:
        """A Secret of the operator."""
        metadata = {"name": name, "namespace": NAMESPACE}
        self.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(contents)})

    def looks(self, scaled_job: str) -> int:
        """How often KEDA has looked at a queue and decided."""
        return sum(
            line.get("scaledJob.Name") == scaled_job and "Number of pending Jobs" in line for line in self.keda_says()
        )

    def keda_says(self) -> Generator[dict[str, Any]]:
        """The lines of KEDA's log."""
        for line in (self.plane.folder / "logs" / "keda-operator.log").read_text(encoding="utf-8").splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def release(self) -> None:
        """Let pass whom the hold holds, and all who come."""
        writing = os.open(self.hold.path, os.O_WRONLY | os.O_NONBLOCK)
        self.hold.pass_by()
        os.close(writing)


@contextmanager
def scene(folder: Path, cache_dir: Path, say: Say) -> Generator[Scene]:
    """Start everything in a new folder; leaving it ends everything, whatever has happened."""
    with ExitStack() as stack:
        plane = ControlPlane(folder / "cluster", cache_dir, say)
        broker = broker_in(folder / "kafka", cache_dir)
        stack.callback(broker.kill)
        broker.start()
        say(f"Started Kafka at {broker.brokers}.")
        installation = Installation(folder / "ameide", cache_dir, broker.brokers, say)
        stack.callback(plane.stop)
        stack.callback(installation.stop)
        with ThreadPoolExecutor(1) as beside:
            started = beside.submit(installation.start)
            plane.start()
            started.result()
        kubelet_log = _start_kubelet(plane, folder / "kubelet")
        hold = Hold(folder / "holds" / "verification")
        url, _ = create_held_orders(folder / "remotes", hold)
        commit = _with_ui_suite(folder / "remotes" / "clone")
        for place in (folder / "remotes", installation.evidence):
            _give(place)
        endpoint = stack.enter_context(serving(_CODER))
        endpoint.write_home(folder / "codex")
        installation.register(url)
        api = stack.enter_context(plane.api())
        jobs = Jobs(api, NAMESPACE)
        jobs.follow()
        stack.callback(jobs.stop)
        made = Scene(folder, plane, installation, api, jobs, hold, endpoint, commit, kubelet_log, say)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        _secrets(made)
        yield made


def _secrets(made: Scene) -> None:
    settings, state = made.installation.settings, made.installation.state
    made.secret("ameide-tokens", {name: state.token(name) or "" for name in ("process", "author", "verifier")})
    made.secret("ameide-database", {"keda": settings.database_url_keda})


def _with_ui_suite(clone: Path) -> str:
    """Let a suite of the name that goes to a queue of its own do what the default one does; the commit that has it."""
    file = clone / "ameide.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    suites = told["verify"]["suites"]
    suites[UI_SUITE] = deepcopy(suites["default"])  # as one object it would be written as an alias, which is refused
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    git(clone, "commit", "--quiet", "--all", "-m", "Verify the user interface, too")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return git(clone, "rev-parse", "HEAD")


def _start_kubelet(plane: ControlPlane, folder: Path) -> Path:
    folder.mkdir()
    log = plane.folder / "logs" / "kubelet.log"
    access = plane.access
    told = {"address": access.address, "certificate": str(access.certificate), "token": access.token}
    plane.run_python("kubelet", "tests.cluster.kubelet", str(folder), said=json.dumps(told))
    plane.wait("the kubelet", lambda: "ready" in log.read_text(encoding="utf-8"))
    return log


def _give(place: Path) -> None:
    """A folder that the pods' user may write to."""
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            shutil.chown(path, USER, USER)
