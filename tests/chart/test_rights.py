"""What a pod may do: nothing at the API server, little on its node, and reach what its task needs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import CHART, Helm, Object, container, environment, secrets, volume

INPUTS = ("minimal", "kafka", "full")


def every_container(pod: Object) -> list[Object]:
    """Init containers, too."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


@pytest.mark.parametrize("values", INPUTS)
def test_no_pod_has_a_token_of_the_api_server(helm: Helm, values: str) -> None:
    rendered = helm.render({}, values)
    accounts = {one["metadata"]["name"]: one for one in rendered.all("ServiceAccount")}
    assert accounts
    assert not any(one["automountServiceAccountToken"] for one in accounts.values())
    for owner, template in rendered.pods():
        assert template["spec"]["automountServiceAccountToken"] is False, owner
        assert template["spec"]["serviceAccountName"] in accounts, owner
        assert template["spec"]["enableServiceLinks"] is False, owner
    assert not [one for one in rendered.objects if "Role" in one["kind"]]


@pytest.mark.parametrize("values", INPUTS)
def test_pods_keep_to_the_restricted_standard(helm: Helm, values: str) -> None:
    for owner, template in helm.render({}, values).pods():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, owner
        assert pod["securityContext"]["runAsUser"] > 0, owner
        assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"), owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), owner
        assert all(one.keys() & {"emptyDir", "secret", "configMap", "persistentVolumeClaim"} for one in pod["volumes"])
        for one in every_container(pod):
            held = one["securityContext"]
            assert held["allowPrivilegeEscalation"] is False, owner
            assert held["capabilities"] == {"drop": ["ALL"]}, owner
            assert held["readOnlyRootFilesystem"] is True, owner
            assert "privileged" not in held, owner
            assert "limits" in one["resources"], owner


@pytest.mark.parametrize("values", INPUTS)
def test_images_are_named_by_digest(helm: Helm, values: str) -> None:
    for owner, template in helm.render({}, values).pods():
        assert all("@sha256:" in one["image"] for one in every_container(template["spec"])), owner


def test_programs_find_folders_they_can_write(helm: Helm) -> None:
    for owner, template in helm.render({}, "full").pods():
        pod = template["spec"]
        told = environment(pod)
        for place in (
            "/tmp",
            told["HOME"],
            told["AMEIDE_STATE_DIR"],
            told.get("AMEIDE_WORK_DIR", "/tmp"),
        ):
            [mount] = [one for one in container(pod)["volumeMounts"] if Path(place).is_relative_to(one["mountPath"])]
            assert "emptyDir" in volume(pod, mount["name"]), f"{place} of {owner}"


def test_an_executor_gets_what_its_sandbox_needs(helm: Helm) -> None:
    rendered = helm.render()
    for owner in rendered.names("ScaledJob"):
        pod = rendered.pod(owner)
        # A user namespace of the pod's own, in which an unmasked /proc is harmless, and a profile that lets bubblewrap
        # make namespaces in it.
        assert pod["hostUsers"] is False
        assert pod["securityContext"]["seccompProfile"]["localhostProfile"] == "profiles/ameide-executor.json"
        assert container(pod)["securityContext"]["procMount"] == "Unmasked"
        assert environment(pod)["AMEIDE_SANDBOX"] == "bubblewrap"
    for owner in set(rendered.names("Deployment")) - {"ameide-architect"}:
        pod = rendered.pod(owner)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "hostUsers" not in pod


def test_helm_test_tries_the_sandbox_in_a_pod_like_an_executors(helm: Helm) -> None:
    rendered = helm.render()
    pod, like = rendered.one("Pod", "ameide-test-sandbox"), rendered.pod("ameide-verify")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    same = ("securityContext", "hostUsers", "serviceAccountName", "restartPolicy", "automountServiceAccountToken")
    assert {key: pod["spec"][key] for key in same} == {key: like[key] for key in same}
    ran = container(pod["spec"])
    assert (ran["command"], ran["args"]) == (["ameide"], ["doctor", "--executor"])
    assert ran["securityContext"] == container(like)["securityContext"]
    assert "readinessProbe" not in ran


def test_without_a_sandbox_the_pod_is_one_and_the_operator_is_told(helm: Helm) -> None:
    rendered = helm.render({"executor": {"sandbox": {"kind": "none"}}})
    pod = rendered.pod("ameide-coder")
    assert environment(pod)["AMEIDE_SANDBOX"] == "none"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "hostUsers" not in pod
    assert "procMount" not in container(pod)["securityContext"]
    assert not rendered.all("Pod"), "there is nothing to try"


def test_nodes_of_another_kind_are_said_by_values(helm: Helm) -> None:
    sandbox = {
        "hostUsers": None,
        "procMount": "Default",
        "seccompProfile": {"type": "Unconfined", "localhostProfile": None},
    }
    pod = helm.render({"executor": {"sandbox": sandbox, "runtimeClassName": "kata"}}).pod("ameide-coder")
    assert pod["runtimeClassName"] == "kata"
    assert pod["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    assert "hostUsers" not in pod
    assert "procMount" not in container(pod)["securityContext"]


def test_the_seccomp_profile_refuses_what_no_work_needs(helm: Helm) -> None:
    profile = json.loads((CHART / "files" / "ameide-executor.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    refused: set[str] = set()
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ERRNO"
        refused.update(rule["names"])
    assert {"bpf", "init_module", "kexec_load", "keyctl", "open_by_handle_at", "perf_event_open"} <= refused
    # Left out of the runtimes' default profile, which this one replaces; whoever uses it does without.
    assert {"io_uring_setup", "io_uring_enter", "io_uring_register"} <= refused
    # What bubblewrap makes a sandbox of.
    assert not refused & {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "prctl", "setns"}


def test_executors_reach_the_domain_names_and_what_is_named(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    policy = rendered.one("NetworkPolicy", "delivery-executor")["spec"]
    executors = [owner for owner, template in rendered.pods() if selects(policy, template)]
    assert sorted(executors) == [*rendered.names("ScaledJob")[:2], "delivery-pool", *rendered.names("ScaledJob")[2:]]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    dns, domain, store, kafka, proxy = policy["egress"]
    assert {(one["port"], one["protocol"]) for one in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    [door] = domain["to"]
    [pods] = [one for _, one in rendered.pods() if selected(door["podSelector"]["matchLabels"], one)]
    assert container(pods["spec"])["args"] == ["serve", "domain"]
    assert domain["ports"] == [{"port": 8480, "protocol": "TCP"}]
    assert [one["ports"][0]["port"] for one in (store, kafka, proxy)] == [9000, 9093, 3128]
    assert [one["ports"] for one in policy["ingress"]] == [[{"port": 9464, "protocol": "TCP"}]]


def test_what_is_not_used_is_not_reached(helm: Helm) -> None:
    broker = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 9092, "protocol": "TCP"}]}
    policy = helm.render({"networkPolicy": {"kafka": [broker]}}).one("NetworkPolicy", "ameide-executor")["spec"]
    assert len(policy["egress"]) == 2
    assert policy["ingress"] == []
    assert (
        broker
        in helm.render({"networkPolicy": {"kafka": [broker]}}, "kafka").one("NetworkPolicy", "ameide-executor")["spec"][
            "egress"
        ]
    )
    assert not helm.render({"networkPolicy": {"enabled": False}}).all("NetworkPolicy")


def test_the_control_plane_is_reached_at_its_door_and_for_metrics(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    door = rendered.one("NetworkPolicy", "delivery-domain")["spec"]
    [rule] = door["ingress"]
    assert rule["ports"] == [{"port": 8480, "protocol": "TCP"}]
    own, gateway = rule["from"]
    assert all(selected(own["podSelector"]["matchLabels"], template) for _, template in rendered.pods())
    assert gateway == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
    control = rendered.one("NetworkPolicy", "delivery-control")["spec"]
    assert control["policyTypes"] == ["Ingress", "Egress"]
    assert [one["ports"][0]["port"] for one in control["ingress"]] == [9464]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]} in control["egress"]
    assert helm.render().one("NetworkPolicy", "ameide-control")["spec"]["policyTypes"] == ["Ingress"]


def test_the_proxy_and_the_companys_ca_reach_every_process(helm: Helm) -> None:
    for owner, template in helm.render({}, "full").pods():
        pod = template["spec"]
        told = environment(pod)
        assert told["HTTPS_PROXY"] == told["HTTP_PROXY"] == "http://egress.proxy:3128", owner
        direct = told["NO_PROXY"].split(",")
        assert {"localhost", ".svc", "delivery.delivery.svc", "minio.storage", ".internal.example"} <= set(direct), (
            owner
        )
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT"):
            assert told[name] == "/etc/ameide-ca/ca.crt", owner
        assert volume(pod, "ca")["configMap"] == {
            "name": "company-ca",
            "items": [{"key": "bundle.pem", "path": "ca.crt"}],
        }
    assert not {"HTTPS_PROXY", "SSL_CERT_FILE"} & environment(helm.render().pod("ameide-coder")).keys()


def test_codex_gets_its_credentials_by_the_init_container(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    # An analyst asks a model as well; what it needs is the same.
    analyst = rendered.pod("delivery-analyst")
    assert environment(analyst)["CODEX_HOME"] == "/codex-home"
    assert [held["name"] for held in analyst["initContainers"]] == ["codex-auth"]
    pod = rendered.pod("delivery-coder")
    assert volume(pod, "codex-secret")["secret"] == {"secretName": "codex-auth", "optional": True, "defaultMode": 0o440}
    [copying] = pod["initContainers"]
    assert {"name": "codex-secret", "mountPath": "/codex-secret", "readOnly": True} in copying["volumeMounts"]
    assert {"name": "codex-home", "mountPath": "/codex-home"} in copying["volumeMounts"]
    ran = container(pod)
    assert environment(pod)["CODEX_HOME"] == "/codex-home"
    assert {"name": "codex-home", "mountPath": "/codex-home"} in ran["volumeMounts"]
    # The agent's pod sees the copy alone.
    assert not [mount for mount in ran["volumeMounts"] if mount["name"] == "codex-secret"]
    assert volume(pod, "codex-home")["emptyDir"]["medium"] == "Memory"
    config = rendered.one("ConfigMap", "delivery-codex")["data"]["config.toml"]
    assert config.startswith('model = "gpt-5.5"\n')
    # Tool runs need no model.
    plain = helm.render()
    for pod in (rendered.pod("delivery-verify"), rendered.pod("delivery-pool"), plain.pod("ameide-generate")):
        assert "initContainers" not in pod
        assert "codex-auth" not in secrets(pod)
        assert "CODEX_HOME" not in environment(pod)
    by_pool = helm.render({"queues": {"analyst": {"runner": "pool"}}}).pod("ameide-pool")
    assert environment(by_pool)["CODEX_HOME"] == "/codex-home"


@pytest.mark.parametrize("there", [True, False], ids=["with codex-auth", "without it"])
def test_the_init_container_succeeds_in_either_case(helm: Helm, tmp_path: Path, there: bool) -> None:
    [copying] = helm.render({}, "full").pod("delivery-coder")["initContainers"]
    shell, options, script = copying["command"]
    for mount in copying["volumeMounts"]:
        place = tmp_path / mount["mountPath"].lstrip("/")
        place.mkdir()
        script = script.replace(mount["mountPath"], str(place))
    (tmp_path / "codex-config" / "config.toml").write_text('model = "mine"')
    if there:
        (tmp_path / "codex-secret" / "auth.json").write_text("{}")
    done = subprocess.run([shell, options, script], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    home = tmp_path / "codex-home"
    assert sorted(one.name for one in home.iterdir()) == ["auth.json", "config.toml"][not there :]
    if there:
        assert (home / "auth.json").stat().st_mode & 0o777 == 0o600
    else:
        assert done.stdout == "There is no auth.json in the Secret codex-auth.\n"


def test_the_external_secrets_operator_can_make_codex_auth(helm: Helm) -> None:
    made = helm.render({}, "full").one("ExternalSecret", "codex-auth")
    assert made["apiVersion"] == "external-secrets.io/v1"
    spec: dict[str, Any] = made["spec"]
    assert spec["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    assert spec["target"]["name"] == "codex-auth"
    assert spec["data"] == [
        {"secretKey": "auth.json", "remoteRef": {"key": "ameide/codex", "property": "auth.json"}},
    ]
    assert not helm.render().all("ExternalSecret")


@pytest.mark.parametrize("values", INPUTS)
def test_the_chart_makes_no_secret(helm: Helm, values: str) -> None:
    rendered = helm.render({}, values)
    assert not rendered.all("Secret")
    for owner, template in rendered.pods():
        for one in every_container(template["spec"]):
            for entry in one.get("env", ()):
                plain = entry.get("value", "")
                secret = any(
                    word in entry["name"] for word in ("TOKEN", "PASSWORD", "SECRET", "ACCESS_KEY", "DATABASE_URL")
                )
                assert not secret or not plain or plain.startswith("/secrets/"), f"{entry['name']} of {owner}"


def selects(policy: Object, template: Object) -> bool:
    """Whether a policy is for these pods."""
    return selected(policy["podSelector"]["matchLabels"], template)


def selected(labels: dict[str, str], template: Object) -> bool:
    """Whether pods have these labels."""
    return labels.items() <= template["metadata"]["labels"].items()
