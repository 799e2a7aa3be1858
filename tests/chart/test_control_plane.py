"""The control plane: a Deployment for each role, with the connections of that role alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ameide import config
from ameide.config import DATABASE_ROLES, SCALER_ROLE, TABLE
from ameide.contracts.topics import queue_named
from ameide.contracts.transports import Transports
from ameide.domain.decisions.upload import FALLBACK_BOUNDS
from ameide.domain.evidence_door import AT_ONCE
from ameide.events.backends.kafka.connection import KafkaConnection
from ameide.infra.roles import queue_slots
from tests.chart.rendering import Helm, container, environment, secrets, volume

SETTINGS = {row.variable for row in TABLE} | {f"{row.variable}_FILE" for row in TABLE if row.secret}
ROLES = ("domain", "relay", "forwarder", "sweeper", "ingress", "projector", "notifier", "worker")
ELSEWHERE = ("AWS_", "CURL_CA_BUNDLE", "HOME", "HTTP", "NODE_EXTRA", "NO_PROXY", "PIP_CERT", "REQUESTS_CA", "SSL_CERT")


def test_every_role_has_a_deployment(helm: Helm) -> None:
    assert helm.render({}, "full").names("Deployment") == sorted(
        [*(f"delivery-{role}" for role in (*ROLES, "architect")), "delivery-pool"]
    )
    # Nothing goes by Kafka and nobody is told of gates.
    least = {*ROLES, "architect"} - {"forwarder", "notifier"}
    assert helm.render().names("Deployment") == sorted(f"ameide-{role}" for role in least)
    for role in least:
        ran = container(helm.render().pod(f"ameide-{role}"))
        assert (ran["command"], ran["args"]) == (["ameide"], ["serve", role])
        assert ran["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
        assert ran["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}


@pytest.mark.parametrize(
    ("role", "connections", "process", "temporal"),
    [
        ("domain", ["app"], False, False),
        ("relay", ["app", "relay"], False, False),
        ("forwarder", ["app", "ingress"], False, False),
        ("sweeper", ["app", "sweeper"], False, False),
        ("ingress", ["app", "ingress"], True, True),
        ("projector", ["app", "projector"], False, False),
        ("notifier", ["app", "ingress"], True, False),
        ("worker", [], True, True),
    ],
)
def test_a_role_holds_its_own_connections_and_no_others(
    helm: Helm, role: str, connections: list[str], process: bool, temporal: bool
) -> None:
    pod = helm.render({}, "full").pod(f"delivery-{role}")
    held, told = secrets(pod), environment(pod)
    assert held.pop("delivery-database", []) == connections
    assert [name for name in told if name.startswith("AMEIDE_DATABASE_URL")] == [
        f"AMEIDE_DATABASE_URL_{one.upper()}_FILE" for one in connections
    ]
    assert held.pop("delivery-tokens", []) == (["process"] if process else [])
    assert ("TEMPORAL_ADDRESS" in told) == temporal
    assert ("delivery-kafka" in held) == (role == "forwarder")
    assert ("delivery-notify" in held) == (role == "notifier")
    assert "AMEIDE_AUTHOR_TOKEN_FILE" not in told
    stores = role in ("domain", "relay", "projector")
    assert ("AMEIDE_OBJECT_STORE" in told) == stores
    keys = [entry["name"] for entry in container(pod)["env"] if "delivery-store" in str(entry.get("valueFrom"))]
    assert keys == (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] if stores else [])


@pytest.mark.parametrize("values", ["minimal", "kafka", "full"])
def test_every_variable_is_a_setting_and_every_file_is_mounted(helm: Helm, values: str) -> None:
    for owner, template in helm.render({}, values).pods():
        pod = template["spec"]
        mounted = [mount["mountPath"] for mount in container(pod)["volumeMounts"]]
        assert len(set(mounted)) == len(mounted)
        assert {mount["name"] for mount in container(pod)["volumeMounts"]} <= {one["name"] for one in pod["volumes"]}
        for name, value in environment(pod).items():
            assert name in SETTINGS or name.startswith(ELSEWHERE) or name == "MORE", f"{name} of {owner}"
            if value.startswith("/"):
                assert any(value == place or value.startswith(f"{place}/") for place in mounted), f"{name} of {owner}"


@pytest.mark.parametrize("values", ["minimal", "kafka", "full"])
def test_every_process_understands_what_it_is_told(helm: Helm, values: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    for owner, template in helm.render({}, values).pods():
        told = environment(template["spec"])
        files = {name: str(secret) for name in told if name.endswith("_FILE") and name in SETTINGS}
        settings = config.read({**told, **files, "AMEIDE_CONFIG": ""})
        transports = Transports.of(settings.facts_transport, settings.queue_transport)
        queue_slots(settings)
        if "KAFKA_BROKERS" in told:
            connection = KafkaConnection.of(settings)
            assert ("sasl.password" in connection.options()) == (values == "kafka"), owner
        arguments = container(template["spec"])["args"]
        if arguments[:2] == ["executor", "run-once"]:
            # Whoever is told of a broker has to be told how to reach it.
            assert transports.any_kafka == ("KAFKA_BROKERS" in told), owner
            assert transports.kafka_queues <= {queue_named(arguments[3])}, owner


def test_the_migration_runs_before_an_installation_and_each_upgrade(helm: Helm) -> None:
    rendered = helm.render()
    job = rendered.one("Job", "ameide-migrate")
    notes = job["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
    account = rendered.one("ServiceAccount", "ameide-migrate")["metadata"]["annotations"]
    assert account["helm.sh/hook"] == notes["helm.sh/hook"]
    assert int(account["helm.sh/hook-weight"]) < int(notes["helm.sh/hook-weight"])
    pod = rendered.pod("ameide-migrate")
    assert container(pod)["args"] == ["db", "migrate"]
    # It alone knows the administrator, and sets the passwords of all the others.
    roles = ["admin", *(role.removeprefix("ameide_") for role in (*DATABASE_ROLES, SCALER_ROLE))]
    told = environment(pod)
    assert {name: value for name, value in told.items() if "DATABASE" in name} == {
        f"AMEIDE_DATABASE_URL_{role.upper()}_FILE": f"/secrets/database/{role}" for role in roles
    }
    others = [environment(template["spec"]) for owner, template in rendered.pods() if owner != "ameide-migrate"]
    assert not any("AMEIDE_DATABASE_URL_ADMIN_FILE" in one for one in others)
    assert job["spec"]["activeDeadlineSeconds"] == 900
    assert not helm.render({"migration": {"enabled": False}}).all("Job")


def test_a_node_that_is_emptied_takes_one_replica_at_a_time(helm: Helm) -> None:
    rendered = helm.render({"control": {"roles": {"relay": {"replicas": 1}}}})
    budgets = {one["metadata"]["name"]: one["spec"] for one in rendered.all("PodDisruptionBudget")}
    # A budget of a single replica could only keep a node from being emptied.
    assert "ameide-relay" not in budgets
    for name, spec in budgets.items():
        deployment = rendered.one("Deployment", name)["spec"]
        assert spec["maxUnavailable"] == 1
        assert spec["selector"] == deployment["selector"]
        assert deployment["replicas"] > 1
    assert set(budgets) == {f"ameide-{role}" for role in ("domain", "sweeper", "ingress", "projector", "worker")}
    assert "delivery-pool" in helm.render({}, "full").names("PodDisruptionBudget")
    assert not helm.render({"podDisruptionBudget": {"enabled": False}}).all("PodDisruptionBudget")


def test_metrics_are_scraped_from_every_process_that_runs_for_long(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    monitor = rendered.one("ServiceMonitor", "delivery")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [{"port": "admin", "path": "/metrics", "interval": "30s"}]
    service = rendered.one("Service", "delivery-metrics")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert not wanted.items() <= rendered.one("Service", "delivery")["metadata"]["labels"].items()
    for deployment in rendered.all("Deployment"):
        template = deployment["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert {"name": "admin", "containerPort": 9464} in container(template["spec"])["ports"]
        assert environment(template["spec"])["AMEIDE_ADMIN_PORT"] == "9464"
    assert not helm.render().all("ServiceMonitor")


def test_the_door_is_the_domains(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    service = rendered.one("Service", "delivery")["spec"]
    assert (service["type"], service["ports"]) == (
        "LoadBalancer",
        [{"name": "door", "port": 443, "targetPort": "door"}],
    )
    domain = rendered.one("Deployment", "delivery-domain")["spec"]
    assert service["selector"] == domain["selector"]["matchLabels"]
    assert {"name": "door", "containerPort": 8480} in container(domain["template"]["spec"])["ports"]
    for owner in ("delivery-worker", "delivery-ingress", "delivery-coder", "delivery-pool"):
        assert environment(rendered.pod(owner))["AMEIDE_ADDRESS"] == "http://delivery.delivery.svc:443", owner


def test_evidence_on_its_way_finds_room_at_the_door(helm: Helm) -> None:
    rendered = helm.render()
    rooms = {
        owner: volume(rendered.pod(owner), "tmp")["emptyDir"]["sizeLimit"] for owner in rendered.names("Deployment")
    }
    assert rooms.pop("ameide-domain") == "20Gi"
    assert set(rooms.values()) == {"1Gi"}
    assert AT_ONCE * FALLBACK_BOUNDS.max_bytes < 20 << 30


def test_a_pool_serves_the_queues_that_are_given_to_it(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    pod = rendered.pod("delivery-pool")
    assert rendered.one("Deployment", "delivery-pool")["spec"]["replicas"] == 3
    assert container(pod)["args"] == ["executor", "pool"]
    told = environment(pod)
    assert told["AMEIDE_QUEUE_SLOTS"] == "generate=2 verify.ui_harness=1"
    assert (told["AMEIDE_AUTHOR_SLOTS"], told["AMEIDE_VERIFIER_SLOTS"]) == ("0", "0")
    assert secrets(pod)["delivery-tokens"] == ["author", "verifier"]
    assert rendered.names("ScaledJob") == ["delivery-analyst", "delivery-coder", "delivery-publish", "delivery-verify"]
    assert not [name for name in helm.render().names("Deployment") if name.endswith("pool")]


def test_a_release_of_executors_alone_has_nothing_of_the_control_plane(helm: Helm) -> None:
    rendered = helm.render({"control": {"enabled": False}, "address": "https://ameide.example"})
    kinds = {one["kind"] for one in rendered.objects}
    assert kinds == {"NetworkPolicy", "Pod", "ScaledJob", "ServiceAccount", "TriggerAuthentication"}
    assert rendered.names("ServiceAccount") == ["ameide-executor"]
    assert environment(rendered.pod("ameide-coder"))["AMEIDE_ADDRESS"] == "https://ameide.example"


def test_objects_can_be_added(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    assert rendered.one("Ingress", "door")["spec"]["rules"][0]["host"] == "ameide.example"
    assert rendered.one("ConfigMap", "delivery-told")["data"] == {"release": "ameide"}
