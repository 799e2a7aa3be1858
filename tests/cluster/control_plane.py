"""A Kubernetes control plane with KEDA on the loopback interface: real programs, no kubelet, no scheduler."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh
import yaml

from ameide.engine.files import tail
from ameide.engine.ports import Ports
from tests.cluster.api import Access, Api, Object
from tests.engines import keda, kubernetes

Say = Callable[[str], None]
# Of a loaded machine; nothing waits for it when the condition holds.
PATIENCE = 120.0
PAUSE = 0.2
_CONTROLLERS = (
    "job-controller",
    "ttl-after-finished-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "deployment-controller",
    "replicaset-controller",
    "disruption-controller",
)
_PORTS = ("api", "etcd", "etcd-peer", "controller-manager", "keda-metrics", "keda-health", "keda-service")
_ROOT = Path(__file__).parents[2]
_KEDA_NAMESPACE = "keda"


@dataclass
class Program:
    """A running program and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it as the system does when it shuts down."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class ControlPlane:
    """`folder` has the data, the keys and, under `logs`, what each program says."""

    folder: Path
    cache_dir: Path
    say: Say
    access: Access = field(init=False)
    programs: list[Program] = field(default_factory=list[Program])
    _ports: dict[str, int] = field(init=False)

    def start(self) -> None:
        """Start everything; returns when KEDA reconciles. Raises InstallError when a program is not built."""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._ports = Ports(self.folder / "ports.json", self.say).claim(_PORTS)
        port, etcd = self._ports["api"], f"http://127.0.0.1:{self._ports['etcd']}"
        token, keys = secrets.token_hex(16), self.folder / "keys"
        keys.mkdir()
        (keys / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n", encoding="utf-8")
        account_key = keys / "service-account.key"
        account_key.write_bytes(_new_key())
        self.access = Access(f"https://127.0.0.1:{port}", keys / "apiserver.crt", token)
        kubeconfig = keys / "kubeconfig"
        kubeconfig.write_text(self.access.kubeconfig(), encoding="utf-8")
        self.run(
            "etcd",
            kubernetes.PROGRAMS.path(self.cache_dir, "etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{self._ports['etcd-peer']}",
            "--unsafe-no-fsync",
        )
        self.run(
            "kube-apiserver",
            kubernetes.PROGRAMS.path(self.cache_dir, "kube-apiserver"),
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={keys}",
            f"--token-auth-file={keys / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={account_key}",
            f"--service-account-signing-key-file={account_key}",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        )
        self.wait("the API server", self._serves)
        with self.api() as api:
            self._define(api)
        self.run(
            "kube-controller-manager",
            kubernetes.PROGRAMS.path(self.cache_dir, "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(_CONTROLLERS)}",
            f"--service-account-private-key-file={account_key}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['controller-manager']}",
            f"--cert-dir={keys / 'controller-manager'}",
            "--profiling=false",
        )
        self._start_keda(kubeconfig, keys)

    def _start_keda(self, kubeconfig: Path, keys: Path) -> None:
        certificates = keys / "keda"
        certificates.mkdir()
        for name, source in (("tls.crt", "apiserver.crt"), ("tls.key", "apiserver.key"), ("ca.crt", "apiserver.crt")):
            shutil.copy(keys / source, certificates / name)
        self.run(
            "keda-operator",
            keda.PROGRAMS.path(self.cache_dir, "keda-operator"),
            f"--kubeconfig={kubeconfig}",
            f"--metrics-bind-address=127.0.0.1:{self._ports['keda-metrics']}",
            f"--health-probe-bind-address=127.0.0.1:{self._ports['keda-health']}",
            f"--metrics-service-bind-address=127.0.0.1:{self._ports['keda-service']}",
            f"--cert-dir={certificates}",
            f"--ca-dir={certificates}",
            "--zap-encoder=json",
            "--kube-api-qps=100",
            "--kube-api-burst=200",
            WATCH_NAMESPACE="",
            POD_NAMESPACE=_KEDA_NAMESPACE,
            KEDA_CLUSTER_OBJECT_NAMESPACE=_KEDA_NAMESPACE,
        )
        log = self.programs[-1].log
        self.wait("KEDA", lambda: '"controller":"scaledjob"' in _text(log) and "Starting workers" in _text(log))

    def _serves(self) -> bool:
        if not self.access.certificate.exists():
            return False
        with self.api() as api:
            return api.ready()

    def _define(self, api: Api) -> None:
        for file in sorted(keda.PROGRAMS.path(self.cache_dir, "crds").glob("*.yaml")):
            api.apply(yaml.safe_load(file.read_text(encoding="utf-8")))
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _KEDA_NAMESPACE}})

        def established() -> bool:
            found = api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
            return all(holds(one, "Established") for one in found)

        self.wait("KEDA's definitions", established)

    def run_python(self, name: str, module: str, *arguments: str, said: str) -> None:
        """Start a module of the tests; it gets `said` on its standard input."""
        self.run(name, Path(sys.executable), "-m", module, *arguments, PYTHONPATH=str(_ROOT), said=said)

    def run(self, name: str, program: Path, *arguments: str, said: str = "", **variables: str) -> None:
        """Start a program of the control plane."""
        log = self.folder / "logs" / f"{name}.log"
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [program, *arguments],
                cwd=self.folder,
                env={**kept, **variables},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us: we end them in their order
            )
            assert process.stdin
            process.stdin.write(said.encode())
            process.stdin.close()
        self.programs.append(Program(name, process, log))
        self.say(f"Started {name}.")

    def wait(self, what: str, there: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until the condition holds; fails at once when a program has ended."""
        wait_for(what, there, patience, self.check)

    def check(self) -> None:
        """Raises AssertionError with the end of its log when a program has ended."""
        for program in self.programs:
            code = program.process.poll()
            assert code is None, f"{program.name} ended with exit code {code}; {program.log}:\n{tail(program.log)}"

    @contextmanager
    def api(self) -> Generator[Api]:
        """A client with every right."""
        api = Api(self.access)
        try:
            yield api
        finally:
            api.close()

    def stop(self) -> None:
        """End everything, the last first."""
        with ExitStack() as stack:
            for program in self.programs:
                stack.callback(program.stop)
        self.programs.clear()


def wait_for(
    what: str, there: Callable[[], bool], patience: float = PATIENCE, check: Callable[[], None] = lambda: None
) -> None:
    """Look now and then until the condition holds."""
    deadline = time.monotonic() + patience
    while not there():
        check()
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(PAUSE)


def holds(found: Object, condition: str) -> bool:
    """Whether a condition of an object is true."""
    conditions: list[Object] = found.get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _new_key() -> bytes:
    generate = cast("Callable[[str], asyncssh.SSHKey]", cast(Any, asyncssh).generate_private_key)
    return generate("ssh-rsa").export_private_key("pkcs8-pem")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
