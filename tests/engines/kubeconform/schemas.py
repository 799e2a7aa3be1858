"""Schemas of Kubernetes, KEDA, External Secrets and the Prometheus operator, from the Go modules that publish them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from ameide.engine.build import run_go
from ameide.engine.errors import InstallError
from ameide.engine.files import read_json, sole_holder, write_whole
from tests.engines.go_programs import Say
from tests.engines.kubeconform import convert


@dataclass(frozen=True)
class Source:
    """A module, its pinned bytes (`go.sum` writes them so), and what is taken of it: files by a pattern."""

    module: str
    version: str
    sum: str
    pattern: str


KUBERNETES = Source(
    "k8s.io/kubernetes",
    "v1.35.4",
    "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM=",
    "api/openapi-spec/swagger.json",
)
EXTENSIONS = (
    Source(
        "github.com/kedacore/keda/v2",
        "v2.16.1",
        "h1:LfYsxfSX8DjetLW8q9qnriImH936POrQJvE+caRoScI=",
        "config/crd/bases/keda.sh_*.yaml",
    ),
    Source(
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
    Source(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
)


@dataclass(frozen=True)
class Schemas:
    """The converted schemas in the cache. The folder's name changes with the sources and with the conversion."""

    kubernetes: Source = KUBERNETES
    extensions: tuple[Source, ...] = EXTENSIONS

    def folder(self, cache_dir: Path) -> Path:
        """Where they lie, or will lie."""
        told = repr(self).encode() + Path(convert.__file__).read_bytes()
        return cache_dir / f"kubernetes-schemas-{hashlib.sha256(told).hexdigest()[:12]}"

    def location(self, cache_dir: Path) -> str:
        """What kubeconform takes as ``-schema-location``. Raises ``InstallError`` when they are not there."""
        if not self._is_complete(cache_dir):
            raise InstallError("The schemas of Kubernetes are not set up. Set them up: make engines")
        return f"{self.folder(cache_dir)}/{convert.TEMPLATE}"

    def ensure(self, cache_dir: Path, say: Say) -> None:
        """Fetch and convert them unless they are there; raises ``InstallError``."""
        folder = self.folder(cache_dir)
        with sole_holder(folder.with_suffix(".lock"), lambda: say("Another process fetches the schemas; waiting.")):
            if not self._is_complete(cache_dir):
                self._make(folder, say)

    def _is_complete(self, cache_dir: Path) -> bool:
        return read_json(self.folder(cache_dir) / "manifest.json").get("complete") is True

    def _make(self, folder: Path, say: Say) -> None:
        say(f"Fetching the schemas of Kubernetes and its extensions, 45 MB, once, into {folder}.")
        began = time.monotonic()
        building, result = folder.with_suffix(".building"), folder.with_suffix(".result")
        for old in (folder, result):
            shutil.rmtree(old, ignore_errors=True)
        (building / "module").mkdir(parents=True, exist_ok=True)
        (building / "module" / "go.mod").write_text("module schemas\n")
        [swagger] = _files(building, self.kubernetes, say)
        document = json.loads(swagger.read_bytes())
        own = convert.strict_definitions(document)
        converted = dict(convert.of_kubernetes(document))
        for source in self.extensions:
            for file in _files(building, source, say):
                converted |= convert.of_definition(yaml.safe_load(file.read_text(encoding="utf-8")), own)
        for place, schema in converted.items():
            (result / place).parent.mkdir(parents=True, exist_ok=True)
            (result / place).write_text(json.dumps(schema, separators=(",", ":")), encoding="utf-8")
        write_whole(result / "manifest.json", json.dumps({"complete": True, "schemas": len(converted)}) + "\n")
        result.replace(folder)
        shutil.rmtree(building)
        say(f"Converted {len(converted)} schemas in {time.monotonic() - began:.0f} s.")


SCHEMAS = Schemas()


def _files(building: Path, source: Source, say: Say) -> Iterator[Path]:
    """The wanted files of a module; at least one."""
    named = f"{source.module}@{source.version}"
    told = json.loads("\n".join(run_go(building, ["mod", "download", "-json", named], f"Downloading {named}", say)))
    if told["Sum"] != source.sum:
        raise InstallError(f"{named} has the sum {told['Sum']}, not {source.sum}: these are not the pinned bytes")
    found = sorted(Path(told["Dir"]).glob(source.pattern))
    if not found:
        raise InstallError(f"{named} has no file {source.pattern}; another version is needed")
    yield from found
