"""All Jobs that there ever were, followed by a watch: KEDA deletes what has ended long ago."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tests.cluster.api import Api, ApiError, Object
from tests.cluster.control_plane import PAUSE

_WATCH_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """The last that was seen of a Job."""

    uid: str
    name: str
    scaled_job: str
    """The name of the ScaledJob that owns it as its controller; empty when none does."""
    generation: int
    """That of the ScaledJob when it was made."""
    succeeded: bool
    failed: bool
    deleted: bool

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.succeeded or self.failed or self.deleted


class Jobs:
    """What has happened in a namespace since `follow`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._path = api, f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._seen: dict[str, Job] = {}
        self._ending = threading.Event()

    def follow(self) -> None:
        """Begin."""
        threading.Thread(target=self._follow, daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._ending.set()

    def of(self, scaled_job: str, which: Callable[[Job], bool] = lambda job: True) -> list[Job]:
        """Those that a ScaledJob owns."""
        return [job for job in list(self._seen.values()) if job.scaled_job == scaled_job and which(job)]

    def all(self) -> list[Job]:
        """All of them."""
        return list(self._seen.values())

    def _follow(self) -> None:
        while not self._ending.is_set():
            try:
                listed = self._api.get(self._path)
                for found in listed["items"]:
                    self._see(found, deleted=False)
                for event in self._api.watch(self._path, listed["metadata"]["resourceVersion"], _WATCH_SECONDS):
                    self._see(event["object"], deleted=event["type"] == "DELETED")
            except (httpx.HTTPError, ApiError):
                self._ending.wait(PAUSE)

    def _see(self, found: Object, *, deleted: bool) -> None:
        metadata = found["metadata"]
        owners = [o for o in metadata.get("ownerReferences", []) if o.get("controller") and o["kind"] == "ScaledJob"]
        conditions = {c["type"]: c["status"] == "True" for c in found.get("status", {}).get("conditions", [])}
        job = Job(
            uid=metadata["uid"],
            name=metadata["name"],
            scaled_job=owners[0]["name"] if owners else "",
            generation=int(metadata.get("annotations", {}).get("scaledjob.keda.sh/generation", 0)),
            succeeded=conditions.get("Complete", False),
            failed=conditions.get("Failed", False),
            deleted=deleted,
        )
        self._seen[job.uid] = job
