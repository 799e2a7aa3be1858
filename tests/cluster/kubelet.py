"""The tests' own kubelet and scheduler: ``python -m tests.cluster.kubelet FOLDER``, an `Access` as JSON on stdin.

It is a node that runs the pods of Jobs, once each, as processes of this machine: init containers, containers with
their variables, secrets, config maps and empty folders, the probe of readiness, SIGTERM and the grace period. Every
image is this checkout. It has no network of its own, no limits of CPU and memory, no restarts; what a pod asks for
beyond that makes the pod fail and say so.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from tests.cluster.api import Access, Api, ApiError, Object
from tests.cluster.control_plane import PAUSE
from tests.cluster.image import Image, build_image
from tests.cluster.pod import Pod

NODE = "test-node"
_PODS = "/api/v1/pods"
_WATCH_SECONDS = 60


class Kubelet:
    """All pods of the cluster, on one node."""

    def __init__(self, api: Api, folder: Path, image: Image) -> None:
        self._api, self._folder, self._image = api, folder, image
        self._pods: dict[str, Pod] = {}
        self._left: set[str] = set()
        self.stopping = threading.Event()

    def register(self) -> None:
        """Be a node that is ready."""
        self._api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        room = {"cpu": "64", "memory": "256Gi", "pods": "500"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a kubelet of tests"}
        self._api.patch_status(f"/api/v1/nodes/{NODE}", {"capacity": room, "allocatable": room, "conditions": [ready]})

    def run(self) -> None:
        """Follow the pods until `stopping`."""
        while not self.stopping.is_set():
            try:
                listed = self._api.get(_PODS)
                for found in listed["items"]:
                    self._seen("MODIFIED", found)
                for event in self._api.watch(_PODS, listed["metadata"]["resourceVersion"], _WATCH_SECONDS):
                    self._seen(event["type"], event["object"])
                    if self.stopping.is_set():
                        break
            except (httpx.HTTPError, ApiError) as error:
                # Its resource version has passed, or the API server is away: list and watch again.
                say(f"watch: {error}")
                self.stopping.wait(PAUSE)

    def end_all(self) -> None:
        """End all pods at once; none is left when this returns."""
        pods = list(self._pods.values())
        for pod in pods:
            pod.end(grace=0)
        for pod in pods:
            pod.join()

    def _seen(self, kind: str, found: Object) -> None:
        uid, phase = found["metadata"]["uid"], found.get("status", {}).get("phase")
        pod = self._pods.get(uid)
        if kind == "DELETED":
            if pod is not None:
                pod.end()
            self._pods.pop(uid, None)
        elif found["metadata"].get("deletionTimestamp"):
            self._end(pod, found)
        elif found["spec"]["restartPolicy"] != "Never":
            # Made to fail, it would be made anew for ever.
            self._leave(found)
        elif not found["spec"].get("nodeName"):
            self._bind(found)
        elif pod is None and found["spec"]["nodeName"] == NODE and phase == "Pending":
            self._pods[uid] = Pod(self._api, self._image, self._folder / "pods", found, say)
            self._pods[uid].start()

    def _leave(self, found: Object) -> None:
        if found["metadata"]["uid"] not in self._left:
            self._left.add(found["metadata"]["uid"])
            say(f"{found['metadata']['name']}: stays pending, since this node runs the pods of Jobs alone")

    def _bind(self, found: Object) -> None:
        """Place it here; what a scheduler does."""
        metadata = found["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        # Bound already, when it was listed before the event of its creation came.
        with suppress(ApiError):
            self._api.create(path, binding)

    def _end(self, pod: Pod | None, found: Object) -> None:
        metadata = found["metadata"]
        if pod is not None:
            pod.end(float(metadata.get("deletionGracePeriodSeconds") or 0))
        else:
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            self._api.delete(path, gracePeriodSeconds=0, preconditions={"uid": metadata["uid"]})


def say(line: str) -> None:
    """One line of the kubelet's log."""
    print(line, flush=True)


def main(folder: Path, told: dict[str, Any]) -> None:
    """Be the kubelet until SIGTERM."""
    access = Access(told["address"], Path(told["certificate"]), told["token"])
    image = build_image(folder / "image")
    api = Api(access)
    kubelet = Kubelet(api, folder, image)

    def stop(number: int, frame: FrameType | None) -> None:
        kubelet.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    kubelet.register()
    say("ready")
    # It may wait for the next event when we are told to stop.
    threading.Thread(target=kubelet.run, daemon=True).start()
    kubelet.stopping.wait()
    kubelet.end_all()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
