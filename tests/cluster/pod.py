"""One pod on the tests' kubelet: its volumes, its init containers, its containers, and what is said of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, ApiError, Object
from tests.cluster.control_plane import PAUSE
from tests.cluster.image import PATH, Image
from tests.cluster.volumes import Configuration, Unsupported, Volumes, expand, until_there, variables

_PROGRAM = Path(__file__).parent / "container.py"
_VARIABLES = {"PATH": PATH, "LANG": "C.UTF-8"}


@dataclass
class Container:
    """A container of the pod; `state` is as the API has it."""

    spec: Object
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False

    @property
    def exit_code(self) -> int | None:
        """None while it has not ended."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def status(self) -> Object:
        """As in the status of a pod."""
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "checkout",
            "ready": self.ready,
            "started": "running" in self.state,
            "restartCount": 0,
            "state": self.state,
        }


class Pod:
    """Runs a pod in a thread of its own until its containers have ended, or `end` is asked for."""

    def __init__(self, api: Api, image: Image, folder: Path, found: Object, say: Callable[[str], None]) -> None:
        self._api, self._image, self._pod, self._say = api, image, found, say
        metadata = found["metadata"]
        self.name, self.uid = metadata["name"], metadata["uid"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{self.name}"
        self._folder = folder / self.name
        self._began = _now()
        self._removed = False
        self._ending, self._over, self._lock = threading.Event(), False, threading.Lock()
        self._grace = float(found["spec"].get("terminationGracePeriodSeconds", 30))
        self._reason: dict[str, str] = {}
        self._init = [Container(one) for one in found["spec"].get("initContainers", [])]
        self._containers = [Container(one) for one in found["spec"]["containers"]]
        self._thread = threading.Thread(target=self._live, name=self.name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, grace: float | None = None) -> None:
        """Ask for its end and its removal: SIGTERM, and SIGKILL once the grace period (in seconds) is over."""
        with self._lock:
            self._grace = self._grace if grace is None else grace
            self._ending.set()
            if self._over:
                self._remove()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _live(self) -> None:
        try:
            self._run()
        except Unsupported as error:
            self._fail("UnsupportedByThisKubelet", str(error))
        except Exception as error:
            self._fail("KubeletError", f"{type(error).__name__}: {error}")
        shutil.rmtree(self._folder / "volumes", ignore_errors=True)
        with self._lock:
            self._over = True
            if self._ending.is_set():
                self._remove()

    def _remove(self) -> None:
        if self._removed:
            return
        self._removed = True
        self._api.delete(self._path, gracePeriodSeconds=0, preconditions={"uid": self.uid})
        self._say(f"{self.name}: removed")

    def _run(self) -> None:
        spec = self._pod["spec"]
        for kind in ("livenessProbe", "startupProbe", "lifecycle"):
            if any(kind in one for one in (*spec.get("initContainers", []), *spec["containers"])):
                raise Unsupported(kind)
        (self._folder / "volumes").mkdir(parents=True)
        self._report()
        configuration = Configuration(self._api, self._pod["metadata"]["namespace"])

        def make() -> Volumes:
            shutil.rmtree(self._folder / "volumes")
            (self._folder / "volumes").mkdir()
            return Volumes(self._folder / "volumes", self._pod, configuration)

        volumes = until_there(make, self._ending)
        for one in self._init:
            if not self._ending.is_set():
                self._start(one, volumes, configuration)
                self._watch([one])
            if one.exit_code != 0:
                self._report(ended=True)
                return
        for one in self._containers:
            if not self._ending.is_set():
                self._start(one, volumes, configuration)
        self._report()
        self._watch(self._containers)
        self._report(ended=True)

    def _start(self, container: Container, volumes: Volumes, configuration: Configuration) -> None:
        spec, pod = container.spec, self._pod["spec"]
        found = until_there(lambda: variables(self._pod, spec, _VARIABLES, configuration), self._ending)
        if found is None:
            return
        rights = {**pod.get("securityContext", {}), **spec.get("securityContext", {})}
        if not rights.get("readOnlyRootFilesystem"):
            raise Unsupported(f"{spec['name']}: a root that can be written")
        argv = [expand(word, found) for word in (*spec.get("command", []), *spec.get("args", []))]
        mounts = [*self._image.mounts, *volumes.mounts(spec)]
        told = {
            "root": str(self._image.folder),
            "mounts": [
                {"source": str(mount.source), "target": mount.target, "read_only": mount.read_only} for mount in mounts
            ],
            "user": int(rights["runAsUser"]),
            "group": int(rights.get("runAsGroup", rights["runAsUser"])),
            "hostname": self.name[:63],
            "folder": spec.get("workingDir", "/"),
            "env": found,
            "argv": argv,
        }
        file = self._spec_of(container)
        file.touch(0o600)
        file.write_text(json.dumps(told), encoding="utf-8")
        with (self._folder / f"{spec['name']}.log").open("ab") as log:
            container.process = subprocess.Popen(
                [sys.executable, "-I", "-S", _PROGRAM, file],
                cwd="/",
                env={},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        container.state = {"running": {"startedAt": _now()}}
        container.ready = "readinessProbe" not in spec
        self._say(f"{self.name}: {spec['name']} runs {' '.join(argv)[:120]!r}")

    def _watch(self, containers: list[Container]) -> None:
        """Until all of them have ended; probes meanwhile, and ends them when that is asked for."""
        killed_at = 0.0
        while running := [one for one in containers if one.process is not None and one.exit_code is None]:
            if self._ending.is_set() and not killed_at:
                killed_at = time.monotonic() + self._grace
                for one in running:
                    _signal(one, signal.SIGTERM)
            if killed_at and time.monotonic() > killed_at:
                for one in running:
                    _signal(one, signal.SIGKILL)
            changed = [one for one in running if self._look(one)]
            if changed:
                self._report()
            else:
                self._ending.wait(PAUSE) if not killed_at else time.sleep(PAUSE)

    def _look(self, container: Container) -> bool:
        """Whether something has changed."""
        assert container.process
        code = container.process.poll()
        if code is not None:
            ended = 128 - code if code < 0 else code
            container.state = {
                "terminated": {
                    "exitCode": ended,
                    "reason": "Completed" if ended == 0 else "Error",
                    "startedAt": container.state["running"]["startedAt"],
                    "finishedAt": _now(),
                }
            }
            container.ready = False
            self._say(f"{self.name}: {container.spec['name']} exited {ended}")
            return True
        if "readinessProbe" not in container.spec:
            return False
        ready = self._probe(container)
        changed, container.ready = ready != container.ready, ready
        return changed

    def _probe(self, container: Container) -> bool:
        """Run the command of the readiness probe inside the container."""
        probe = container.spec["readinessProbe"]
        if "exec" not in probe:
            raise Unsupported("readinessProbe other than exec")
        told = json.loads(self._spec_of(container).read_text(encoding="utf-8"))
        try:
            pid = int(self._spec_of(container).with_suffix(".json.pid").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        entering = ["nsenter", f"--target={pid}", "--mount", "--pid", "--wd=/"]
        as_root = [f"--setuid={told['user']}", f"--setgid={told['group']}"]
        entering += as_root if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        done = subprocess.run(
            [*entering, *probe["exec"]["command"]],
            env=told["env"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode == 0

    def _spec_of(self, container: Container) -> Path:
        return self._folder / f"{container.spec['name']}.json"

    def _fail(self, reason: str, message: str) -> None:
        self._say(f"{self.name}: {reason}: {message}")
        self._reason = {"reason": reason, "message": message}
        for one in (*self._init, *self._containers):
            if one.process is not None:
                _signal(one, signal.SIGKILL)
                one.process.wait()
        self._report(ended=True)

    def _report(self, *, ended: bool = False) -> None:
        """Tell the API server."""
        initialized = all(one.exit_code == 0 for one in self._init)
        succeeded = initialized and not self._reason and all(one.exit_code == 0 for one in self._containers)
        running = any("running" in one.state for one in (*self._init, *self._containers))
        phase = (
            ("Succeeded" if succeeded else "Failed") if ended else "Running" if running and initialized else "Pending"
        )
        ready = phase == "Running" and all(one.ready for one in self._containers)
        conditions: dict[str, bool] = {
            "PodScheduled": True,
            "Initialized": initialized,
            "ContainersReady": ready,
            "Ready": ready,
        }
        status: dict[str, Any] = {
            "phase": phase,
            "conditions": [
                {"type": kind, "status": str(value), "lastTransitionTime": _now()} for kind, value in conditions.items()
            ],
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "startTime": self._began,
            "initContainerStatuses": [one.status() for one in self._init],
            "containerStatuses": [one.status() for one in self._containers],
            **self._reason,
        }
        try:
            self._api.patch_status(self._path, status)
        except ApiError as error:
            # Somebody removed it by force.
            if error.status != 404:
                raise


def _signal(container: Container, number: int) -> None:
    assert container.process
    container.process.send_signal(number)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
