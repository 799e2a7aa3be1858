"""The volumes and variables of a pod: secrets and config maps, empty folders, folders of the node."""

from __future__ import annotations

import base64
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, Object
from tests.cluster.control_plane import PAUSE
from tests.cluster.image import Mount

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class Unsupported(Exception):
    """The pod wants what this kubelet does not do."""


class Missing(Exception):
    """A secret or config map is not there (yet); a real kubelet waits for it."""


class Configuration:
    """What a pod's secrets and config maps hold now."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    def of(self, kind: str, name: str) -> dict[str, bytes] | None:
        """The contents of a `secret` or `configMap` by key; None when there is none of that name."""
        plural = "secrets" if kind == "secret" else "configmaps"
        found = self._api.find(f"/api/v1/namespaces/{self._namespace}/{plural}/{name}")
        if found is None:
            return None
        data: dict[str, str] = found.get("data") or {}
        return {key: base64.b64decode(text) if kind == "secret" else text.encode() for key, text in data.items()}

    def value(self, kind: str, reference: Mapping[str, Any]) -> str | None:
        """The value that a variable refers to; None when it may be absent and is. Raises `Missing`."""
        contents = self.of(kind, reference["name"])
        if contents is not None and reference["key"] in contents:
            return contents[reference["key"]].decode()
        if reference.get("optional"):
            return None
        raise Missing(f"{kind} {reference['name']} has no key {reference['key']}, or is not there")


class Volumes:
    """The folders of one pod's volumes, by name; `group` owns them, as `fsGroup` asks for."""

    def __init__(self, folder: Path, pod: Object, configuration: Configuration) -> None:
        self._folder, self._configuration = folder, configuration
        self._group = int(pod["spec"].get("securityContext", {}).get("fsGroup", 0))
        self._places: dict[str, tuple[Path, bool]] = {}
        for volume in pod["spec"].get("volumes", []):
            self._make(dict(volume))

    def mounts(self, container: Object) -> list[Mount]:
        """Where a container has them."""
        found: list[Mount] = []
        for mount in container.get("volumeMounts", []):
            place, read_only = self._places[mount["name"]]
            source = place / mount["subPath"] if mount.get("subPath") else place
            found.append(Mount(source, mount["mountPath"].rstrip("/"), read_only or bool(mount.get("readOnly"))))
        return found

    def _make(self, volume: Object) -> None:
        name = volume.pop("name")
        [(kind, source)] = volume.items()
        place = self._folder / name
        match kind:
            case "emptyDir":
                place.mkdir()
                _give(place, self._group, 0o2777)
            case "hostPath":
                place = Path(source["path"])
                if not place.is_dir():
                    raise Missing(f"volume {name}: {place} is no folder")
            case "secret" | "configMap":
                self._fill(place, kind, source)
            case _:
                raise Unsupported(f"volume {name}: {kind}")
        self._places[name] = (place, kind in ("secret", "configMap"))

    def _fill(self, place: Path, kind: str, source: Mapping[str, Any]) -> None:
        name = source["secretName"] if kind == "secret" else source["name"]
        contents = self._configuration.of(kind, name)
        if contents is None and not source.get("optional"):
            raise Missing(f"{kind} {name} is not there")
        paths = {one["key"]: one["path"] for one in source.get("items", [])} or {key: key for key in contents or {}}
        place.mkdir()
        for key, path in paths.items():
            if key not in (contents or {}):
                if source.get("optional"):
                    continue
                raise Missing(f"{kind} {name} has no key {key}")
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((contents or {})[key])
            _give(file, self._group, int(source.get("defaultMode", 0o644)))
        _give(place, self._group, 0o755)


def _give(place: Path, group: int, mode: int) -> None:
    # Without root everything here is the container's user's anyway.
    with suppress(PermissionError):
        shutil.chown(place, group=group)
    place.chmod(mode)


def variables(pod: Object, container: Object, image: Mapping[str, str], configuration: Configuration) -> dict[str, str]:
    """The environment of a container: the image's, then its own in order, with `$(NAME)` replaced."""
    found = {**image, "HOSTNAME": pod["metadata"]["name"]}
    if container.get("envFrom"):
        raise Unsupported("envFrom")
    for one in container.get("env", []):
        source = one.get("valueFrom")
        value = expand(one.get("value", ""), found) if source is None else _from(source, pod, configuration)
        if value is not None:
            found[one["name"]] = value
    return found


def _from(source: Mapping[str, Any], pod: Object, configuration: Configuration) -> str | None:
    [(kind, reference)] = source.items()
    match kind:
        case "secretKeyRef":
            return configuration.value("secret", reference)
        case "configMapKeyRef":
            return configuration.value("configMap", reference)
        case "fieldRef":
            return _field(pod, reference["fieldPath"])
        case _:
            raise Unsupported(f"env from {kind}")


def _field(pod: Object, path: str) -> str:
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str(pod["metadata"].get(match[1], {}).get(match[2], ""))
    known: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: pod["metadata"]["name"],
        "metadata.namespace": lambda: pod["metadata"]["namespace"],
        "metadata.uid": lambda: pod["metadata"]["uid"],
        "spec.nodeName": lambda: pod["spec"]["nodeName"],
        "spec.serviceAccountName": lambda: pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": lambda: "127.0.0.1",
        "status.hostIP": lambda: "127.0.0.1",
    }
    if path not in known:
        raise Unsupported(f"fieldRef {path}")
    return known[path]()


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by a variable that is known, `$$` by one dollar; leave the rest, as Kubernetes does."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else known.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def until_there(make: Callable[[], Any], ended: threading.Event) -> Any:
    """What `make` gives once nothing is `Missing` any more; None when the pod is ended before."""
    while not ended.is_set():
        try:
            return make()
        except Missing:
            ended.wait(PAUSE)
    return None
