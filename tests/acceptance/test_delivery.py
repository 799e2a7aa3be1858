"""Sequences A, A.2 and A.3 from outside, on the example: red, green, merged, released, promoted, followed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ameide.delivery.demo_remotes import create_orders_remotes, orders_patches
from tests.acceptance.course import course_of
from tests.acceptance.installation import Installation, git, post, remove, wait_for
from tests.acceptance.jobs import settled, working_off
from tests.engines.kafka import broker_in
from tests.engines.kafka.broker import KafkaBroker

TITLE = "A customer can cancel an order that has not shipped"
FAILING = "tests/test_cancel.py::test_a_shipped_order_cannot_be_canceled"
WORK_SERVICE = "ameide_core_proto.transformation.work.v1.WorkCommandService"
ENVIRONMENTS = ["dev", "staging", "production"]


@pytest.fixture(scope="module")
def delivered(installation: Installation) -> tuple[str, Path]:
    """One change, driven to its end; its id and the folder of its remotes."""
    return deliver(installation, "orders"), installation.state_dir / "remotes" / "orders"


def deliver(installation: Installation, repository: str) -> str:
    """Drive a change of a fresh copy of the example to its end; its id."""
    url, gitops = create_orders_remotes(installation.state_dir / "remotes" / repository)
    installation.ameide("repo", "add", repository, url, "--gitops", gitops)
    change = installation.start_change(repository, TITLE, "An open order can be cancelled", "A shipped one cannot")
    run = installation.advance(change)
    assert run["outcome"] == "delivered"
    return change


@pytest.fixture
def on_kafka(cache_dir: Path) -> Iterator[tuple[Installation, KafkaBroker]]:
    """An installation without an executor of its own whose facts and queues go by a Kafka of its own."""
    made = Installation.make(AMEIDE_FACTS_TRANSPORT="kafka", AMEIDE_QUEUE_TRANSPORT="kafka")
    shutil.copytree(orders_patches(), made.state_dir / "patches")
    with broker_in(made.state_dir / "broker", cache_dir) as broker:
        made.settings["KAFKA_BROKERS"] = broker.brokers
        try:
            made.ameide("up", "--no-executor")
            yield made, broker
        finally:
            remove(made)


def test_with_kafka_and_a_job_for_each_work_the_course_is_the_same(
    installation: Installation, delivered: tuple[str, Path], on_kafka: tuple[Installation, KafkaBroker]
) -> None:
    other, broker = on_kafka
    with working_off(broker.brokers, other.state_dir / "jobs", other.environment) as jobs:
        change = deliver(other, "orders")
    assert course_of(other, change) == course_of(installation, delivered[0])
    assert {child.status for child in jobs.all} == {0}
    works = other.works(change)
    assert len([child for child in jobs.all if "Took one work" in child.log.read_text()]) == len(works)
    wait_for(lambda: settled(broker.brokers), "every invitation to be acknowledged")


def test_with_runners_outside_the_course_is_the_same(installation: Installation, delivered: tuple[str, Path]) -> None:
    installation.ameide("executor", "pause")
    try:
        with running_outside(installation):
            change = deliver(installation, "orders-outside")
    finally:
        installation.ameide("executor", "resume")
    assert course_of(installation, change) == course_of(installation, delivered[0])


@contextmanager
def running_outside(installation: Installation) -> Generator[None]:
    """Two runners meanwhile. They have the door's address, a token that only executes, and the ways to the forge and
    the registry; nothing else of the installation."""
    address = json.loads((installation.state_dir / "run" / "address.json").read_text(encoding="utf-8"))["address"]
    queues = {"author": ("coder", "generate"), "verifier": ("verify", "publish")}
    with ExitStack() as stack:
        for name, served in queues.items():
            words = [word for queue in served for word in ("--queue", queue)]
            folder = installation.state_dir / f"outside-{name}"
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AMEIDE_")} | {
                "AMEIDE_STATE_DIR": str(folder),
                "AMEIDE_ADDRESS": address,
                "AMEIDE_TOKEN": installation.id_of("token", "create", name, "--only-execute", *words),
                "AMEIDE_FORGE_ROOT": str(installation.state_dir / "remotes"),
                "AMEIDE_REGISTRY_ROOT": str(installation.state_dir / "registry"),
                "AMEIDE_PATCHES_DIR": str(installation.state_dir / "patches"),
            }
            ready = installation.state_dir / f"outside-{name}.ready"
            command = [sys.executable, "-m", "ameide", "runner", *words, "--ready-file", str(ready)]
            process = stack.enter_context(subprocess.Popen(command, env=environment))
            stack.callback(process.terminate)
            wait_for(lambda ready=ready, process=process: ready.exists() or process.poll() is not None, "the runner")
            assert process.poll() is None
        yield


def test_the_failing_test_of_iteration_1_passes_in_iteration_2(
    installation: Installation, delivered: tuple[str, Path]
) -> None:
    first, second = installation.show(delivered[0])["iterations"]
    assert first["failing"] == [FAILING]
    assert not first.get("green", False)
    assert FAILING in second["passing"]
    assert second["green"]
    assert not second.get("failing")


def test_each_promotion_commit_changes_one_digest_in_one_file(
    installation: Installation, delivered: tuple[str, Path]
) -> None:
    shown = installation.show(delivered[0])
    [release] = shown["releases"]
    digests: set[str] = set()
    for promotion in shown["promotions"]:
        environment, commit = promotion["environment"], promotion["gitopsCommitSha"]
        gitops = delivered[1] / "orders-gitops.git"
        assert git(gitops, "show", "--format=", "--numstat", commit) == f"1\t1\tenvironments/{environment}/values.yaml"
        changed = [
            line for line in git(gitops, "show", "--format=", "-U0", commit).splitlines() if line[:2] in ("+ ", "- ")
        ]
        assert all("ref:" in line for line in changed), changed
        values = git(gitops, "show", f"main:environments/{environment}/values.yaml")
        assert release["imageRef"] in values
        digests.add(release["imageRef"].rpartition("@")[2])
    assert [promotion["environment"] for promotion in shown["promotions"]] == ENVIRONMENTS
    [digest] = digests
    blob = next((installation.state_dir / "registry").rglob(f"blobs/sha256/{digest.removeprefix('sha256:')}"))
    assert f"sha256:{hashlib.sha256(blob.read_bytes()).hexdigest()}" == digest


def test_what_ships_is_the_merge_commit(installation: Installation, delivered: tuple[str, Path]) -> None:
    shown = installation.show(delivered[0])
    [release] = shown["releases"]
    assert release["commitSha"] == git(delivered[1] / "orders.git", "rev-parse", "main")
    smokes = installation.works(delivered[0], "SMOKE")
    assert len(smokes) == len(ENVIRONMENTS)
    assert all(release["commitSha"] in work["result"]["summary"] for work in smokes)


def smoke(installation: Installation, release: dict[str, Any], key: str) -> dict[str, Any]:
    """One more look at what a release published, outside of any run; the work as it ended."""
    order = {
        "clientRequestId": key,
        "workKind": "WORK_KIND_TOOL_RUN",
        "actionKind": "ACTION_KIND_SMOKE",
        "repositoryId": "orders",
        "commitSha": release["commitSha"],
        "inputs": {"imageRef": release["imageRef"], "component": "orders", "environment": "dev"},
    }
    status, answer = post(installation, f"{WORK_SERVICE}/RequestWork", json.dumps(order))
    assert status == 200, answer
    work: dict[str, Any] = {}

    def ended() -> bool:
        nonlocal work
        work = installation.json("work", "show", answer["work"]["workRequestId"]).get("work", {})
        return work.get("status") in ("WORK_STATUS_SUCCEEDED", "WORK_STATUS_FAILED")

    wait_for(ended, "the smoke check")
    return work


def test_the_digest_needs_its_source_no_more_and_one_byte_less_is_refused(
    installation: Installation, delivered: tuple[str, Path]
) -> None:
    [release] = installation.show(delivered[0])["releases"]
    source = delivered[1] / "orders.git"
    aside = source.rename(delivered[1] / "aside.git")
    try:
        answered = smoke(installation, release, "smoke-without-source")
        assert answered["status"] == "WORK_STATUS_SUCCEEDED", answered
        assert release["commitSha"] in answered["result"]["summary"]
        digest = release["imageRef"].rpartition("@sha256:")[2]
        blobs = next((installation.state_dir / "registry").rglob(f"blobs/sha256/{digest}")).parent
        layer = json.loads((blobs / digest).read_bytes())["layers"][0]["digest"].removeprefix("sha256:")
        whole = (blobs / layer).read_bytes()
        (blobs / layer).chmod(0o600)
        (blobs / layer).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        refused = smoke(installation, release, "smoke-with-a-flipped-byte")
        (blobs / layer).write_bytes(whole)
    finally:
        aside.rename(source)
    assert refused["status"] == "WORK_STATUS_FAILED"
    assert layer in refused["result"]["summary"]


def test_every_citation_of_the_timeline_resolves(installation: Installation, delivered: tuple[str, Path]) -> None:
    timeline = installation.json("change", "timeline", delivered[0])
    assert int(timeline["readContext"]["logPosition"]) > 0
    columns = {row["column"] for row in timeline["rows"]}
    assert columns == {"TIMELINE_COLUMN_PROCESS", "TIMELINE_COLUMN_EVENTS", "TIMELINE_COLUMN_INFRA"}
    assert all(row["citation"]["ref"] for row in timeline["rows"])
    refs = sorted(
        {citation["ref"] for citation in timeline["citations"]} | {r["citation"]["ref"] for r in timeline["rows"]}
    )
    done = installation.run("cite", *refs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n}") == len(refs)
    assert installation.run("cite", "0192aaaa-0000-7000-8000-000000000000").returncode == 1


def test_a_flipped_byte_of_evidence_is_found_and_named(installation: Installation, delivered: tuple[str, Path]) -> None:
    bundles: list[dict[str, Any]] = installation.json("evidence", "list", "--change", delivered[0])["bundles"]
    assert len(bundles) == len(installation.works(delivered[0]))
    assert installation.run("evidence", "verify", "--change", delivered[0]).returncode == 0
    artifact = bundles[0]["artifacts"][0]
    stored = installation.state_dir / "objects" / artifact["uri"].removeprefix("store:")
    whole = stored.read_bytes()
    stored.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    done = installation.run("evidence", "verify", "--change", delivered[0])
    stored.write_bytes(whole)
    assert done.returncode == 1
    assert artifact["uri"].removeprefix("store:") in done.stdout + done.stderr


def test_without_the_second_patch_the_change_waits_for_a_person_and_nothing_is_merged(
    installation: Installation, orders: str, remotes: Path
) -> None:
    main = git(remotes / "orders.git", "rev-parse", "main")
    [second] = (installation.state_dir / "patches").glob("002-*")
    aside = second.rename(installation.state_dir / second.name)
    try:
        change = installation.start_change(orders, TITLE, "A shipped one cannot be cancelled")
        gate = installation.advance(change, until="NEEDS_HUMAN", approve=["REQUIREMENT_STABILIZED"])
    finally:
        aside.rename(second)
    assert FAILING in [finding["id"] for finding in gate["subject"]["findings"]]
    assert not installation.works(change, "MERGE")
    installation.decide(gate, "reject", "not worth it")
    assert installation.advance(change)["status"] == "RUN_STATUS_FAILED"
    assert git(remotes / "orders.git", "rev-parse", "main") == main
