"""The Architect agent in a cluster: what it holds, what it reaches, who reaches it."""

from __future__ import annotations

from ameide import config
from tests.chart.rendering import Helm, container, environment, secrets
from tests.chart.test_rights import selected, selects


def test_it_holds_its_own_connection_and_token_the_models_key_and_what_fetches_repositories(helm: Helm) -> None:
    held = secrets(helm.render({}, "full").pod("delivery-architect"))
    assert {name: held[name] for name in ("delivery-database", "delivery-tokens", "delivery-model")} == {
        "delivery-database": ["architect"],
        "delivery-tokens": ["architect"],
        "delivery-model": ["key"],
    }
    # Not those of the executors, which push.
    assert "delivery-reading" in held
    assert "delivery-credentials" not in held
    told = environment(helm.render({}, "full").pod("delivery-architect"))
    assert not [name for name in told if name.startswith(("TEMPORAL", "KAFKA", "AMEIDE_PROCESS", "AMEIDE_AUTHOR"))]
    assert [name for name in told if name.startswith("AMEIDE_DATABASE")] == ["AMEIDE_DATABASE_URL_ARCHITECT_FILE"]


def test_it_understands_what_the_values_say(helm: Helm) -> None:
    told = environment(helm.render({}, "full").pod("delivery-architect"))
    settings = config.read({name: value for name, value in told.items() if not name.endswith("_FILE")})
    assert settings.architect_model == "openai:gpt-5.2"
    assert settings.architect_fallback_models == ("anthropic:claude-sonnet-4-5",)
    assert settings.architect_model_url == "https://models.example/v1"
    assert settings.architect_origins == ("https://ide.example.com",)
    assert (settings.architect_listen_port, settings.architect_retention_days) == (8580, 90)
    assert told["AMEIDE_ARCHITECT_MODEL_KEY_FILE"] == "/secrets/model/key"


def test_without_a_model_it_is_told_of_none(helm: Helm) -> None:
    pod = helm.render().pod("ameide-architect")
    assert not [name for name in environment(pod) if "MODEL" in name]
    assert not [mount for mount in container(pod)["volumeMounts"] if mount["name"] in ("model", "credentials")]


def test_it_reads_repositories_in_the_sandbox_of_executors_and_by_their_image(helm: Helm) -> None:
    rendered = helm.render()
    pod, like = rendered.pod("ameide-architect"), rendered.pod("ameide-verify")
    same = ("hostUsers", "securityContext")
    assert {key: pod[key] for key in same} == {key: like[key] for key in same}
    assert container(pod)["securityContext"] == container(like)["securityContext"]
    assert container(pod)["image"] == container(like)["image"]
    image = "registry.example/architect@sha256:" + "3" * 64
    assert container(helm.render({"architect": {"image": {"ref": image}}}).pod("ameide-architect"))["image"] == image
    plain = helm.render({"executor": {"sandbox": {"kind": "none"}}}).pod("ameide-architect")
    assert environment(plain)["AMEIDE_SANDBOX"] == "none"
    assert plain["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_a_floating_image_is_refused(helm: Helm) -> None:
    done = helm.template({"architect": {"image": {"ref": "registry.example/architect:latest"}}}, "minimal")
    assert done.returncode != 0
    assert "architect.image.ref" in done.stderr


def test_its_service_leads_to_it(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    service = rendered.one("Service", "delivery-architect")["spec"]
    assert (service["type"], service["ports"]) == (
        "LoadBalancer",
        [{"name": "agent", "port": 443, "targetPort": "agent"}],
    )
    deployment = rendered.one("Deployment", "delivery-architect")["spec"]
    assert service["selector"] == deployment["selector"]["matchLabels"]
    assert {"name": "agent", "containerPort": 8580} in container(deployment["template"]["spec"])["ports"]


def test_who_may_reach_the_door_reaches_it_and_no_pod_of_the_release_does(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    policy = rendered.one("NetworkPolicy", "delivery-architect")["spec"]
    assert [owner for owner, template in rendered.pods() if selects(policy, template)] == ["delivery-architect"]
    clients, metrics = policy["ingress"]
    assert clients["ports"] == [{"port": 8580, "protocol": "TCP"}]
    assert clients["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}]
    assert metrics["ports"] == [{"port": 9464, "protocol": "TCP"}]
    # Where no client is named none is let in, an executor's hostile child among them.
    assert helm.render().one("NetworkPolicy", "ameide-architect")["spec"]["ingress"] == []


def test_it_reaches_the_domain_and_what_is_named(helm: Helm) -> None:
    rendered = helm.render({}, "full")
    policy = rendered.one("NetworkPolicy", "delivery-architect")["spec"]
    _, domain, *named = policy["egress"]
    [door] = domain["to"]
    [pods] = [one for _, one in rendered.pods() if selected(door["podSelector"]["matchLabels"], one)]
    assert container(pods["spec"])["args"] == ["serve", "domain"]
    assert [one["ports"][0]["port"] for one in named] == [9000, 3128, 5432]
    assert helm.render().one("NetworkPolicy", "ameide-architect")["spec"]["policyTypes"] == ["Ingress"]


def test_it_can_be_left_out(helm: Helm) -> None:
    rendered = helm.render({"architect": {"enabled": False}})
    assert not [one for one in rendered.objects if one["metadata"]["name"] == "ameide-architect"]
