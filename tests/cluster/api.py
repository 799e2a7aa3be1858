"""The Kubernetes API as the tests need it: objects as JSON, server-side apply, watches."""

from __future__ import annotations

import json
import ssl
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]
MANAGER = "ameide-cluster-test"
_PATIENCE = 30.0


@dataclass(frozen=True)
class Access:
    """Where the API server is, and as whom one comes."""

    address: str
    certificate: Path
    token: str

    def kubeconfig(self) -> str:
        """The same as a file for programs of Kubernetes."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "test",
                        "cluster": {"server": self.address, "certificate-authority": str(self.certificate)},
                    }
                ],
                "users": [{"name": "test", "user": {"token": self.token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "current-context": "test",
            }
        )


class ApiError(Exception):
    """What the API server refused; `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """One client, usable by several threads."""

    def __init__(self, access: Access) -> None:
        self._client = httpx.Client(
            base_url=access.address,
            verify=ssl.create_default_context(cafile=str(access.certificate)),
            headers={"authorization": f"Bearer {access.token}"},
            timeout=_PATIENCE,
            trust_env=False,
        )
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def ready(self) -> bool:
        """Whether the API server serves."""
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Object:
        """An object or a list."""
        return self._call("GET", path)

    def find(self, path: str) -> Object | None:
        """An object, or None when there is none of that name."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, found: Object) -> Object:
        """Create an object in the collection `path`."""
        return self._call("POST", path, found)

    def patch_status(self, path: str, status: Object) -> Object:
        """Merge into the status of an object."""
        return self._call("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object; nothing happens when it is gone."""
        try:
            self._call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})
        except ApiError as error:
            if error.status != 404:
                raise

    def apply(self, wanted: Object) -> Object:
        """Server-side apply, as `kubectl apply --server-side` does; another manager's field is a conflict."""
        return self._call(
            "PATCH",
            f"{self.path_of(wanted)}?fieldManager={MANAGER}&fieldValidation=Strict",
            wanted,
            "application/apply-patch+yaml",
        )

    def path_of(self, found: Mapping[str, Any]) -> str:
        """The path of an object, from its kind and name, as the API server's discovery says."""
        version, kind, metadata = found["apiVersion"], found["kind"], found["metadata"]
        resource, namespaced = self._resource(version, kind)
        place = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{_root(version)}{place}/{resource}/{metadata['name']}"

    def watch(self, path: str, version: str, seconds: int) -> Generator[Object]:
        """The events of a collection from a resource version on, for so long."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        timeout = httpx.Timeout(_PATIENCE, read=seconds + _PATIENCE)
        with self._client.stream("GET", path, params=query, timeout=timeout) as answer:
            if answer.status_code != 200:
                raise ApiError(answer.status_code, answer.read().decode(errors="replace"))
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(int(event["object"].get("code", 500)), str(event["object"].get("message", "")))
                yield event

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._resources:
            for one in self.get(_root(version))["resources"]:
                if "/" not in one["name"]:
                    self._resources[version, one["kind"]] = (one["name"], one["namespaced"])
        if (version, kind) not in self._resources:
            raise ApiError(404, f"the API server knows no {kind} of {version}")
        return self._resources[version, kind]

    def _call(self, method: str, path: str, body: Object | None = None, media: str = "application/json") -> Object:
        content = None if body is None else json.dumps(body).encode()
        answer = self._client.request(method, path, content=content, headers={"content-type": media})
        said: Object = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, f"{method} {path}: {said.get('message', answer.text)}")
        return said


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
