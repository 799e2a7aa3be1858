"""One Job for one work: how KEDA makes them, and how it is kept from making too many or from ending them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from ameide.config import TABLE
from ameide.contracts import topics
from tests.chart.rendering import CHART, Helm, Object, container, environment, secrets, volume

EVERY_JOB = {key: {"runner": "job"} for key in ("coder", "analyst", "generate", "verify", "verifyUi", "publish")}


def queue_of(job: Object) -> str:
    """The short name of the queue that a ScaledJob works off, by its arguments."""
    told = container(job["spec"]["jobTargetRef"]["template"]["spec"])["args"]
    return str(told[told.index("--queue") + 1])


def test_each_queue_of_the_contracts_can_have_one(helm: Helm) -> None:
    jobs = {queue_of(job): job for job in helm.render({"queues": EVERY_JOB}).all("ScaledJob")}
    assert set(jobs) == {topics.short_name(queue) for queue in topics.QUEUES}
    for queue in topics.QUEUES:
        [trigger] = jobs[topics.short_name(queue)]["spec"]["triggers"]
        assert trigger == {
            "type": "postgresql",
            "metadata": {"query": f"SELECT ameide.queue_ready('{queue}', 'default')", "targetQueryValue": "1"},
            "authenticationRef": {"name": "ameide-queues"},
        }
    query = helm.render({}, "full").one("ScaledJob", "delivery-coder")["spec"]["triggers"][0]["metadata"]["query"]
    asked = f"ameide.queue_ready('{topics.QUEUE_CODER}'"
    assert query == f"SELECT {asked}, 'acme') + {asked}, 'other')"
    assert helm.render({"queues": {"coder": {"runner": "none"}}}).names("ScaledJob") == [
        "ameide-analyst",
        "ameide-generate",
        "ameide-publish",
        "ameide-verify",
    ]


def test_no_more_jobs_are_made_than_works_wait_and_an_edit_ends_none(helm: Helm) -> None:
    rendered = helm.render(
        {
            "queues": {"verify": {"maxReplicas": 7, "executor": {"deadlineSeconds": 60}}},
            "executor": {"ttlSeconds": 120, "successfulJobsHistory": 0, "failedJobsHistory": 3, "pollingSeconds": 2},
        }
    )
    spec = rendered.one("ScaledJob", "ameide-verify")["spec"]
    assert spec["rollout"]["strategy"] == "gradual"
    assert spec["scalingStrategy"] == {"strategy": "accurate", "pendingPodConditions": ["Ready"]}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["pollingInterval"]) == (0, 7, 2)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (0, 3)
    job = spec["jobTargetRef"]
    assert (job["parallelism"], job["completions"], job["backoffLimit"]) == (1, 1, 0)
    assert (job["activeDeadlineSeconds"], job["ttlSecondsAfterFinished"]) == (60, 120)
    assert rendered.one("ScaledJob", "ameide-coder")["spec"]["jobTargetRef"]["activeDeadlineSeconds"] == 14400


def test_large_numbers_stay_numbers(helm: Helm) -> None:
    million = 3_000_000
    rendered = helm.render(
        {
            "settings": {"AMEIDE_LOG_PARTITION_MESSAGES": million, "OTEL_TRACES_SAMPLER_ARG": 0.25},
            "executor": {"ttlSeconds": million, "deadlineSeconds": million, "waitSeconds": million},
            "control": {"drainSeconds": million},
        }
    )
    job = rendered.one("ScaledJob", "ameide-coder")["spec"]["jobTargetRef"]
    assert (job["ttlSecondsAfterFinished"], job["activeDeadlineSeconds"]) == (million, million)
    assert str(million) in container(rendered.pod("ameide-coder"))["args"]
    told = environment(rendered.pod("ameide-relay"))
    assert (told["AMEIDE_LOG_PARTITION_MESSAGES"], told["OTEL_TRACES_SAMPLER_ARG"]) == (str(million), "0.25")
    assert told["AMEIDE_DRAIN_SECONDS"] == str(million)
    assert rendered.pod("ameide-relay")["terminationGracePeriodSeconds"] == million + 15


def test_a_pod_is_ready_once_its_claim_is_answered(helm: Helm) -> None:
    pod = helm.render({"executor": {"waitSeconds": 45, "drainSeconds": 30}}).pod("ameide-coder")
    ran = container(pod)
    ready = "/run/ameide/ready"
    assert ran["command"] == ["ameide"]
    assert ran["args"] == ["executor", "run-once", "--queue", "coder", "--wait", "45", "--ready-file", ready]
    assert ran["readinessProbe"]["exec"]["command"] == ["test", "-s", ready]
    assert ran["readinessProbe"]["periodSeconds"] == 1
    assert "livenessProbe" not in ran
    # The file is of this pod alone, and in a folder that can be written.
    assert {"name": "run", "mountPath": "/run/ameide"} in ran["volumeMounts"]
    assert "emptyDir" in volume(pod, "run")
    assert pod["restartPolicy"] == "Never"
    assert environment(pod)["AMEIDE_DRAIN_SECONDS"] == "30"
    assert pod["terminationGracePeriodSeconds"] > 30


@pytest.mark.parametrize(
    ("queue", "role"),
    [("coder", "author"), ("generate", "author"), ("verify", "verifier"), ("publish", "verifier")],
)
def test_a_job_holds_the_token_of_its_principal_and_no_other(helm: Helm, queue: str, role: str) -> None:
    pod = helm.render({"tokens": {"existingSecret": "mine"}}).pod(f"ameide-{queue}")
    assert environment(pod)["AMEIDE_TOKEN_FILE"] == f"/secrets/tokens/{role}"
    assert {"name": "tokens", "mountPath": "/secrets/tokens", "readOnly": True} in container(pod)["volumeMounts"]
    held = secrets(pod)
    assert held.pop("mine") == [role]
    # No database, no broker, no Temporal.
    assert set(held) <= {"codex-auth"}
    assert not [name for name in environment(pod) if name.startswith(("AMEIDE_DATABASE", "TEMPORAL", "KAFKA"))]


def test_a_queue_on_kafka_is_scaled_by_its_lag(helm: Helm) -> None:
    rendered = helm.render({}, "kafka")
    [trigger] = rendered.one("ScaledJob", "ameide-coder")["spec"]["triggers"]
    assert trigger["type"] == "kafka"
    told: Mapping[str, Any] = trigger["metadata"]
    assert told["topic"] == topics.QUEUE_CODER
    assert told["consumerGroup"] == topics.consumer_group(topics.QUEUE_CODER)
    assert (told["lagThreshold"], told["offsetResetPolicy"]) == ("1", "earliest")
    assert told["bootstrapServers"] == "kafka-0.kafka:9093,kafka-1.kafka:9093"
    assert trigger["authenticationRef"] == {"name": "ameide-kafka"}
    assert [one["type"] for one in rendered.one("ScaledJob", "ameide-verify")["spec"]["triggers"]] == ["postgresql"]


def test_keda_is_told_how_to_log_in_by_references(helm: Helm) -> None:
    rendered = helm.render({}, "kafka")
    assert rendered.one("TriggerAuthentication", "ameide-queues")["spec"] == {
        "secretTargetRef": [{"parameter": "connection", "name": "ameide-database", "key": "keda"}]
    }
    kafka = rendered.one("TriggerAuthentication", "ameide-kafka")["spec"]
    assert kafka["secretTargetRef"] == [
        {"parameter": "password", "name": "ameide-kafka-executor", "key": "password"},
        {"parameter": "ca", "name": "ameide-kafka-executor", "key": "ca.crt"},
    ]
    told = rendered.one("ConfigMap", "ameide-kafka")["data"]
    assert told == {"tls": "enable", "sasl": "scram_sha512", "username": "ameide-executor"}
    assert [(one["parameter"], one["name"]) for one in kafka["configMapTargetRef"]] == [
        ("tls", "ameide-kafka"),
        ("sasl", "ameide-kafka"),
        ("username", "ameide-kafka"),
    ]
    plain = helm.render({"kafka": {"securityProtocol": "PLAINTEXT", "ownCa": False}}, "kafka")
    assert plain.names("TriggerAuthentication") == ["ameide-queues"]
    assert "authenticationRef" not in plain.one("ScaledJob", "ameide-coder")["spec"]["triggers"][0]


def test_executors_are_told_the_carrier_of_their_own_queues(helm: Helm) -> None:
    rendered = helm.render({}, "kafka")
    for owner in set(rendered.names("Deployment")) - {"ameide-architect"}:
        told = environment(rendered.pod(owner))
        assert told["AMEIDE_QUEUE_TRANSPORT"] == "coder=kafka generate=kafka", owner
        assert told["AMEIDE_FACTS_TRANSPORT"] == "kafka", owner
    coder = environment(rendered.pod("ameide-coder"))
    assert coder["AMEIDE_QUEUE_TRANSPORT"] == "coder=kafka"
    assert coder["KAFKA_BROKERS"] == "kafka-0.kafka:9093,kafka-1.kafka:9093"
    assert coder["AMEIDE_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert coder["AMEIDE_KAFKA_SASL_USERNAME"] == "ameide-executor"
    assert coder["AMEIDE_KAFKA_SASL_PASSWORD_FILE"] == "/secrets/kafka/password"
    assert coder["AMEIDE_KAFKA_CA_FILE"] == "/secrets/kafka/ca.crt"
    assert secrets(rendered.pod("ameide-coder"))["ameide-kafka-executor"] == ["password", "ca.crt"]
    # Who takes nothing from Kafka holds nothing of it.
    assert not [name for name in environment(rendered.pod("ameide-verify")) if "KAFKA" in name or "TRANSPORT" in name]
    by_pool = {"queues": {"coder": {"runner": "pool"}, "verify": {"runner": "pool"}}}
    pool = environment(helm.render(by_pool, "kafka").pod("ameide-pool"))
    assert (pool["AMEIDE_QUEUE_TRANSPORT"], pool["AMEIDE_QUEUE_SLOTS"]) == ("coder=kafka", "coder=1 verify=1")
    assert environment(rendered.pod("ameide-forwarder"))["AMEIDE_KAFKA_SASL_USERNAME"] == "ameide"


def test_command_and_arguments_can_be_replaced(helm: Helm) -> None:
    rendered = helm.render(
        {
            "executor": {"command": ["/opt/python", "-m", "ameide"]},
            "queues": {"verify": {"executor": {"command": ["/bin/mine"], "args": ["one", "two"]}}},
        }
    )
    coder, verify = container(rendered.pod("ameide-coder")), container(rendered.pod("ameide-verify"))
    assert coder["command"] == ["/opt/python", "-m", "ameide"]
    assert coder["args"][:2] == ["executor", "run-once"]
    assert (verify["command"], verify["args"]) == (["/bin/mine"], ["one", "two"])


def test_a_work_is_ended_by_its_own_bound_and_not_by_the_node(helm: Helm) -> None:
    rendered = helm.render({"queues": {"verify": {"runner": "pool"}}})
    for owner in ("ameide-coder", "ameide-pool"):
        pod = rendered.pod(owner)
        told = environment(pod)
        assert container(pod)["resources"]["limits"]["memory"] == "8Gi"
        assert int(told["AMEIDE_CHILD_MEMORY_MB"]) < 8 * 1024
        assert volume(pod, "work")["emptyDir"]["sizeLimit"] == "25Gi"
    [disk] = [row.default for row in TABLE if row.variable == "AMEIDE_WORK_DISK_MB"]
    assert int(disk) < 25 * 1024
    # A Job keeps no dependencies, since nobody would find them; a pool keeps them where there is room.
    assert environment(rendered.pod("ameide-coder"))["AMEIDE_DEPENDENCY_MEGABYTES"] == "0"
    assert environment(rendered.pod("ameide-pool"))["AMEIDE_DEPENDENCY_DIR"] == "/work/dependencies"
    mine = {"executor": {"settings": {"AMEIDE_DEPENDENCY_MEGABYTES": 9000, "AMEIDE_DEPENDENCY_DIR": "/cache"}}}
    told = environment(helm.render(mine).pod("ameide-verify"))
    assert (told["AMEIDE_DEPENDENCY_MEGABYTES"], told["AMEIDE_DEPENDENCY_DIR"]) == ("9000", "/cache")


def test_the_values_of_a_queue_override_those_of_all(helm: Helm) -> None:
    mine = {"settings": {"AMEIDE_REPEATS": 9}, "nodeSelector": {"pool": "agents"}, "resources": {"limits": {"cpu": 4}}}
    rendered = helm.render(
        {
            "settings": {"AMEIDE_LOG_LEVEL": "WARNING"},
            "executor": {"settings": {"AMEIDE_LOG_LEVEL": "DEBUG", "AMEIDE_REPEATS": 3}},
            "queues": {"coder": {"executor": mine}},
        }
    )
    coder, verify = rendered.pod("ameide-coder"), rendered.pod("ameide-verify")
    assert (environment(coder)["AMEIDE_REPEATS"], environment(verify)["AMEIDE_REPEATS"]) == ("9", "3")
    assert environment(coder)["AMEIDE_LOG_LEVEL"] == "DEBUG"
    assert environment(rendered.pod("ameide-domain"))["AMEIDE_LOG_LEVEL"] == "WARNING"
    assert coder["nodeSelector"] == {"pool": "agents"}
    assert "nodeSelector" not in verify
    default = yaml.safe_load((CHART / "values.yaml").read_text())["executor"]["resources"]
    assert container(verify)["resources"] == default
    assert container(coder)["resources"]["limits"] == default["limits"] | {"cpu": 4}
