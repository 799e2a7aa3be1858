"""The chart, rendered by the real Helm, as objects that tests look into."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ameide"
KUBERNETES = "1.35.4"
"""The version that is rendered for; a Helm that was not built for release takes one of long ago."""
Object = dict[str, Any]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What the chart makes of some values."""

    text: str
    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The object of a kind with a name."""
        [found] = [found for found in self.all(kind) if found["metadata"]["name"] == name]
        return found

    def names(self, kind: str) -> list[str]:
        """The names of the objects of a kind, sorted."""
        return sorted(found["metadata"]["name"] for found in self.all(kind))

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Name of the owner and pod template, of everything that makes pods."""
        for found in self.objects:
            spec = found.get("spec", {})
            template = spec.get("jobTargetRef", spec).get("template")
            if found["kind"] in ("Deployment", "Job", "ScaledJob"):
                yield found["metadata"]["name"], template

    def pod(self, owner: str) -> Object:
        """The specification of the pods of an owner."""
        return dict(self.pods())[owner]["spec"]


@dataclass(frozen=True)
class Helm:
    """The program, and a folder for what it keeps."""

    program: Path
    home: Path
    rendered: dict[str, Rendered] = field(default_factory=dict[str, "Rendered"])

    def template(self, values: Values, *files: str) -> subprocess.CompletedProcess[str]:
        """Render the chart with values files of its folder `ci`, and these values over them."""
        named = [part for name in files for part in ("-f", str(CHART / "ci" / f"{name}-values.yaml"))]
        options = ["--namespace", "delivery", "--kube-version", KUBERNETES, *named, "-f", "-"]
        return subprocess.run(
            [self.program, "template", "ameide", CHART, *options],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            timeout=60,
            env={"HOME": str(self.home)},
        )

    def render(self, values: Values | None = None, *files: str) -> Rendered:
        """The objects; by default with the least values that do."""
        asked = json.dumps([values or {}, files])
        if asked not in self.rendered:
            done = self.template(values or {}, *(files or ("minimal",)))
            assert done.returncode == 0, done.stderr
            objects = yaml.load_all(done.stdout, yaml.CSafeLoader)
            self.rendered[asked] = Rendered(done.stdout, tuple(one for one in objects if one))
        return self.rendered[asked]

    def refused(self, values: Values, *files: str) -> str:
        """Why the chart does not take the values."""
        done = self.template(values, *(files or ("minimal",)))
        assert done.returncode != 0, "the chart took these values"
        return done.stderr


def container(pod: Object) -> Object:
    """The only container of a pod."""
    [found] = pod["containers"]
    return found


def environment(pod: Object) -> dict[str, str]:
    """The plain variables of the container; each is named once."""
    told = container(pod)["env"]
    assert len({entry["name"] for entry in told}) == len(told), "a variable is named twice"
    return {entry["name"]: entry["value"] for entry in told if "value" in entry}


def volume(pod: Object, name: str) -> Object:
    """A volume of a pod."""
    [found] = [one for one in pod["volumes"] if one["name"] == name]
    return found


def secrets(pod: Object) -> dict[str, list[str]]:
    """The Secrets that a pod mounts, and which of their keys; an empty list is all of them."""
    found: dict[str, list[str]] = {}
    for one in pod["volumes"]:
        if "secret" in one:
            keys = [item["key"] for item in one["secret"].get("items", ())]
            found.setdefault(one["secret"]["secretName"], []).extend(keys)
    return found
