"""The parts of `make cluster-test` that need no cluster: a container, variables, the table."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import wait_for
from tests.cluster import container
from tests.cluster.api import Api
from tests.cluster.image import PATH, USER, Image, Mount, build_image
from tests.cluster.table import Row, printed
from tests.cluster.volumes import Configuration, Missing, Unsupported, expand, until_there, variables

Pod = dict[str, Any]
POD: Pod = {"metadata": {"name": "p-1", "namespace": "n", "labels": {"a/b": "c"}}, "spec": {"nodeName": "node"}}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The root of all containers, in a folder that a pod's user can pass."""
    with tempfile.TemporaryDirectory(prefix="ameide-image-") as folder:
        Path(folder).chmod(0o711)
        yield build_image(Path(folder) / "root")


def start(image: Image, folder: Path, *argv: str, mounts: tuple[Mount, ...] = ()) -> subprocess.Popen[str]:
    """A container that runs a program."""
    told = [{"source": str(m.source), "target": m.target, "read_only": m.read_only} for m in (*image.mounts, *mounts)]
    spec = {"root": str(image.folder), "mounts": told, "user": USER, "group": USER, "hostname": "p-1", "folder": "/"}
    file = folder / "spec.json"
    file.write_text(json.dumps({**spec, "env": {"PATH": PATH}, "argv": argv}))
    command = [sys.executable, "-I", "-S", str(container.__file__), str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_container_has_a_user_a_process_tree_and_a_root_of_its_own(image: Image, tmp_path: Path) -> None:
    open_to_all, secret = tmp_path / "volume", tmp_path / "secret"
    for folder in (open_to_all, secret):
        folder.mkdir()
        folder.chmod(0o777)
    (secret / "key").write_text("k")
    script = """
        id -u; hostname; echo "process $$"; cat /tmp/inner/key
        touch /tmp/mine && echo volume
        touch /usr/mine || echo root; touch /tmp/inner/key || echo secret
        test -e /proc/1/root/proc/sys/kernel/ostype && ls -d /tests; exit 7"""
    mounts = (Mount(open_to_all, "/tmp", read_only=False), Mount(secret, "/tmp/inner"))
    with start(image, tmp_path, "sh", "-c", script, mounts=mounts) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 7, said
    lines = [line for line in said.splitlines() if not line.startswith(("touch", "ls"))]
    assert lines == [str(USER), "p-1", "process 1", "kvolume", "root", "secret"], said


def test_a_container_has_the_programs_of_this_checkout(image: Image, tmp_path: Path) -> None:
    with start(image, tmp_path, "ameide", "executor", "--help") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "run-once" in said


def test_a_container_ends_as_a_whole_when_it_is_told_to(image: Image, tmp_path: Path) -> None:
    script = "trap 'exit 5' TERM; cat /dev/zero > /dev/null & echo runs; wait"
    with start(image, tmp_path, "sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == "runs\n"
        first = int((tmp_path / "spec.json.pid").read_text())
        children = Path(f"/proc/{first}/task/{first}/children")
        wait_for(lambda: bool(children.read_text()), "the second process")
        [second] = children.read_text().split()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 5
    assert not Path(f"/proc/{second}").exists(), "a process outlived its container"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$(A)-b", "1-b"), ("$(UNKNOWN)", "$(UNKNOWN)"), ("$$(A)", "$(A)"), ("cost: $5", "cost: $5"), ("$A", "$A")],
)
def test_references_to_variables_are_replaced_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


class Known(Configuration):
    """A namespace with one Secret."""

    def __init__(self, api: Api | None = None) -> None:
        self.there: dict[str, dict[str, bytes]] = {"tokens": {"author": b"t"}}

    def of(self, kind: str, name: str) -> dict[str, bytes] | None:
        """From memory."""
        return self.there.get(name)


def reference(name: str, key: str, *, optional: bool = False) -> Pod:
    return {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key, "optional": optional}}}]}


def test_variables_come_from_values_secrets_and_the_pod_itself() -> None:
    fields = {"NAME": "metadata.name", "LABEL": "metadata.labels['a/b']", "NODE": "spec.nodeName"}
    env = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    env += [*reference("tokens", "author")["env"], {"name": "ALL", "value": "$(X)$(NAME)"}, {"name": "EMPTY"}]
    found = variables(POD, {"env": env}, {"PATH": "/bin"}, Known())
    told = {"NAME": "p-1", "LABEL": "c", "NODE": "node", "X": "t", "ALL": "tp-1", "EMPTY": ""}
    assert found == {"PATH": "/bin", "HOSTNAME": "p-1", **told}


def test_a_secret_that_may_be_absent_gives_no_variable_and_another_is_waited_for() -> None:
    known = Known()
    assert "X" not in variables(POD, reference("codex-auth", "key", optional=True), {}, known)
    with pytest.raises(Missing, match="codex-auth"):
        variables(POD, reference("codex-auth", "key"), {}, known)
    timer = threading.Timer(0.1, lambda: known.there.update({"codex-auth": {"key": b"late"}}))
    timer.start()
    found = until_there(lambda: variables(POD, reference("codex-auth", "key"), {}, known), threading.Event())
    assert found["X"] == "late"


def test_what_this_kubelet_does_not_do_is_said() -> None:
    env = [{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    with pytest.raises(Unsupported, match="resourceFieldRef"):
        variables(POD, {"env": env}, {}, Known())


@pytest.mark.parametrize(
    "row",
    [
        Row("w", 3, 4, 4, Counter(succeeded=3)),
        Row("w", 3, 3, 2, Counter(succeeded=3)),
        Row("w", 3, 3, 3, Counter(succeeded=2)),
        Row("w", 4, 3, 3, Counter(succeeded=3)),
    ],
)
def test_a_number_that_differs_is_seen(row: Row) -> None:
    assert not row.agrees


def test_the_table_shows_how_the_works_ended() -> None:
    row = Row("agent work", 3, 3, 3, Counter(succeeded=2, MISSING_CREDENTIALS=1))
    assert row.agrees
    head, line = printed([row]).splitlines()
    assert head.split("  ")[0] == "WORK"
    assert line.split() == ["agent", "work", "3", "3", "3", "3", "1", "MISSING_CREDENTIALS,", "2", "succeeded"]
