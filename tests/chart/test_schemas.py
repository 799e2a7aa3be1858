"""What the chart makes is what Kubernetes and its extensions take: compared strictly, by the real kubeconform."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.rendering import Helm
from tests.engines import kubeconform

Validate = Callable[[str], "list[dict[str, str]]"]
INPUTS = ("minimal", "kafka", "full")


@pytest.fixture(scope="session")
def problems(cache_dir: Path) -> Validate:
    """The resources of a text that are not what their schema says, or that have none."""
    program = kubeconform.PROGRAMS.path(cache_dir, "kubeconform")
    location = kubeconform.SCHEMAS.location(cache_dir)

    def validate(text: str) -> list[dict[str, str]]:
        done = subprocess.run(
            [program, "-strict", "-output", "json", "-summary", "-schema-location", location, "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        told = json.loads(done.stdout)
        assert sum(told["summary"].values()) > 0, "nothing was looked at"
        assert (done.returncode == 0) == (not told["resources"])
        return list(told["resources"])

    return validate


@pytest.mark.parametrize("values", INPUTS)
def test_every_object_fits_its_schema(helm: Helm, problems: Validate, values: str) -> None:
    rendered = helm.render({}, values)
    assert problems(rendered.text) == []
    assert {found["metadata"].get("namespace", "delivery") for found in rendered.objects} == {"delivery"}


def test_the_full_values_make_every_kind(helm: Helm) -> None:
    kinds = {found["kind"] for found in helm.render({}, "full").objects}
    assert kinds == {
        *("ConfigMap", "Deployment", "ExternalSecret", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget"),
        *("ScaledJob", "Service", "ServiceAccount", "ServiceMonitor", "TriggerAuthentication", "Pod"),
    }


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("pendingPodConditions:", "pendingPodCondition:"),
        ("maxReplicaCount: 20", "maxReplicaCount: many"),
        ("automountServiceAccountToken: false", "automountServiceAccountTokens: false"),
        ("connection, name:", "connection, named:"),
        ("kind: ScaledJob", "kind: ScaledJobs"),
    ],
)
def test_a_mistake_in_an_object_is_found(helm: Helm, problems: Validate, right: str, wrong: str) -> None:
    text = helm.render().text
    assert right in text
    assert problems(text.replace(right, wrong))
