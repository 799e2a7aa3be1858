"""Values that cannot work are refused before anything is made, with a message that says what to write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml

from tests.chart.rendering import CHART, KUBERNETES, ROOT, Helm, Values

DIGEST = f"registry.example/ameide@sha256:{'1' * 64}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"ref": "ameide:latest"}}, 'image.ref "ameide:latest" is not pinned by digest: write repo@sha256:'),
        ({"image": {"ref": f"ameide:latest@sha256:{'1' * 64}"}}, "a floating tag is refused"),
        ({"executor": {"image": {"ref": ""}}}, 'executor.image.ref "" of queue coder is not pinned by digest'),
        ({"objectStore": {"url": ""}}, "objectStore.url is not set: executors of a cluster share no folder"),
        ({"temporal": {"address": ""}}, "temporal.address is not set"),
        ({"control": {"enabled": False}}, "address is not set: a release without the control plane"),
        ({"kafka": {"facts": True}}, "kafka.brokers is not set, but kafka.facts or the transport of a queue needs it"),
        ({"queues": {"coder": {"transport": "kafka"}}}, "kafka.brokers is not set"),
        (
            {"kafka": {"brokers": "k:9092", "facts": True, "securityProtocol": "SASL_SSL"}},
            "kafka.securityProtocol is SASL_SSL: set kafka.username and kafka.existingSecret",
        ),
        (
            {"kafka": {"brokers": "k:9092", "facts": True, "ownCa": True}},
            "kafka.ownCa and kafka.clientCertificate need kafka.existingSecret",
        ),
        (
            {"kafka": {"brokers": "k:9092", "facts": True, "ownCa": True, "existingSecret": "s"}},
            "kafka.securityProtocol is PLAINTEXT, which takes no certificates: write SSL or SASL_SSL",
        ),
        (
            {
                "kafka": {"brokers": "k:9092"},
                "queues": {"verify": {"transport": "kafka", "executor": {"waitSeconds": 10}}},
            },
            "executor.waitSeconds 10 of queue verify is not more than kafka.sessionSeconds 10",
        ),
        (
            {"queues": {"verify": {"runner": "pool", "executor": {"waitSeconds": 10}}}},
            "queues.verify.executor says how its Jobs run, but its runner is pool",
        ),
        ({"codex": {"externalSecret": {"enabled": True}}}, "codex.externalSecret is enabled: set secretStoreRef.name"),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(helm: Helm, values: Values, said: str) -> None:
    assert said in helm.refused(values).replace('\\"', '"')


def test_everything_that_is_wrong_is_told_at_once(helm: Helm) -> None:
    told = helm.refused({"temporal": {"address": ""}, "objectStore": {"url": ""}, "image": {"ref": "x"}})
    assert [name in told for name in ("temporal.address", "objectStore.url", "image.ref")] == [True] * 3


NO_VALUES: list[tuple[Values, str]] = [
    ({"queue": {}}, "queue"),
    ({"queues": {"coders": {"runner": "job"}}}, "coders"),
    ({"queues": {"coder": {"runner": "cron"}}}, "/queues/coder/runner"),
    ({"queues": {"coder": {"transport": "rabbit"}}}, "/queues/coder/transport"),
    ({"queues": {"coder": {"maxReplicas": 0}}}, "/queues/coder/maxReplicas"),
    ({"queues": {"coder": {"executor": {"wait": 3}}}}, "wait"),
    ({"executor": {"deadlineSeconds": "4h"}}, "/executor/deadlineSeconds"),
    ({"executor": {"sandbox": {"kind": "docker"}}}, "/executor/sandbox/kind"),
    ({"kafka": {"securityProtocol": "TLS"}}, "/kafka/securityProtocol"),
    ({"tenants": ["it's"]}, "/tenants/0"),
    ({"settings": {"NOT A NAME": "x"}}, "NOT A NAME"),
    ({"networkPolicy": {"proxy": [{"from": []}]}}, "/networkPolicy/proxy/0"),
    ({"control": {"roles": {"domain": {"replicas": -1}}}}, "/control/roles/domain/replicas"),
]


@pytest.mark.parametrize(("values", "place"), NO_VALUES)
def test_what_is_no_value_is_refused_by_its_name(helm: Helm, values: Values, place: str) -> None:
    told = helm.refused(values)
    assert place in told
    assert "schema" in told


def test_the_schema_knows_every_value_and_every_value_has_its_place(helm: Helm) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def resolve(part: dict[str, Any]) -> dict[str, Any]:
        return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    def differences(part: dict[str, Any], found: Any, path: str) -> Iterator[str]:
        known = resolve(part).get("properties")
        if known is None or not found:
            return
        yield from (f"{path}.{key} has no value" for key in known.keys() - found.keys() if key != "global")
        yield from (f"{path}.{key} is not in the schema" for key in found.keys() - known.keys())
        for key in known.keys() & found.keys():
            yield from differences(known[key], found[key], f"{path}.{key}")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert list(differences(schema, values, "values")) == []


def test_every_value_is_used(helm: Helm) -> None:
    templates = "\n".join(file.read_text() for file in (CHART / "templates").rglob("*.*"))
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    for key, value in values.items():
        below = list(cast("dict[str, Any]", value)) if isinstance(value, dict) else []
        leaves = below if key not in ("queues", "settings") else []
        assert [name for name in leaves if not re.search(rf"\.{name}\b", templates)] == [], key
        assert f".Values.{key}" in templates or f"$values.{key}" in templates, key


def test_every_value_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from chart_page import unexplained; print(*unexplained())"],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_values_in_the_how_to_are_taken(helm: Helm) -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.S | re.M)
    assert len(blocks) == 4
    for block in blocks:
        rendered = helm.render(yaml.safe_load(block.replace("sha256:…", f"sha256:{'1' * 64}")))
        queues = ("analyst", "coder", "generate", "publish", "verify")
        assert rendered.names("ScaledJob") == [f"ameide-{queue}" for queue in queues]


@pytest.mark.parametrize("values", ["minimal", "kafka", "full"])
def test_helms_own_linter_is_content(helm: Helm, values: str) -> None:
    options = ["--strict", "--kube-version", KUBERNETES, "-f", CHART / "ci" / f"{values}-values.yaml"]
    done = subprocess.run(
        [helm.program, "lint", CHART, *options],
        capture_output=True,
        text=True,
        env={"HOME": str(helm.home)},
    )
    assert done.returncode == 0, done.stdout
    assert "[ERROR]" not in done.stdout
    assert "[WARNING]" not in done.stdout
