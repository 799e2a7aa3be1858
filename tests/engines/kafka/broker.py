"""One real Kafka broker, controller included (KRaft), on the loopback: started, stopped, killed, started again."""

import asyncio
import base64
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from ameide.engine.errors import StartError
from ameide.engine.files import tail
from ameide.engine.ports import Ports
from tests.engines.kafka.jars import java

if TYPE_CHECKING:
    from tests.engines.certificates import Authority

USER, PASSWORD = "ameide", "the broker's password"
STRANGERS = ("forwarder", "ingress", "executor")
"""Users with the same password and no rights but those that `allow` gives; all others have every right."""
_READY = "Kafka Server started"
_PATIENCE = 90.0
_SET = AlterConfigOpType.SET
# Small and quick to start: nobody here waits for the second compiler.
_JVM = ("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOGGER = "-Dorg.slf4j.simpleLogger"
_LOGGING = (f"{_LOGGER}.defaultLogLevel=warn", f"{_LOGGER}.log.kafka.server.KafkaRaftServer=info")


class KafkaBroker:
    """A broker in ``folder``. Topics are never made by themselves. ``secure``: also listens with TLS and SASL.

    Ports are chosen once and kept. ``options`` are the virtual machine's.
    """

    def __init__(self, jars: Path, folder: Path, *, secure: bool = False, options: Sequence[str] = ()) -> None:
        self._java = [java(), *_JVM, *_LOGGING, *options, "-cp", f"{jars}/*"]
        self._folder = folder
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        names = ["plaintext", "controller", *(["sasl_ssl", "ssl"] if secure else [])]
        self._ports = Ports(folder / "ports.json", lambda line: None).claim(names)
        self.authority = _authority(folder / "tls") if secure else None

    def __enter__(self) -> "KafkaBroker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def brokers(self) -> str:
        """host:port without encryption."""
        return self._at("plaintext")

    @property
    def sasl_brokers(self) -> str:
        """host:port with TLS and a user (PLAIN or SCRAM-SHA-512)."""
        return self._at("sasl_ssl")

    @property
    def tls_brokers(self) -> str:
        """host:port with TLS, for clients with a certificate of ``authority``."""
        return self._at("ssl")

    def start(self) -> None:
        """Start it, on the data that it left; returns once it serves. Raises ``StartError``."""
        properties = self._folder / "server.properties"
        if not properties.exists():
            properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
            formatted = [
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "-c",
                properties,
                "--add-scram",
                user,
            ]
            self._run(*formatted).wait(_PATIENCE)
        began = self._log.stat().st_size
        self._process = self._run("kafka.Kafka", properties)
        deadline = time.monotonic() + _PATIENCE
        while _READY.encode() not in self._said(began):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise StartError(f"Kafka did not start. The end of {self._log}:\n{tail(self._log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut it down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it like a machine that loses its power."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it keep its connections and say nothing more."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    async def configure(self, topic: str, values: dict[str, str]) -> None:
        """Change settings of a topic."""
        changes = [ConfigEntry(name, value, incremental_operation=_SET) for name, value in values.items()]
        asked = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=changes)
        admin = self._admin()
        await asyncio.wrap_future(admin.incremental_alter_configs([asked])[asked])

    async def configuration(self, topic: str) -> dict[str, str | None]:
        """The settings of a topic."""
        asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
        admin = self._admin()
        found: dict[str, ConfigEntry] = await asyncio.wrap_future(admin.describe_configs([asked])[asked])
        return {name: entry.value for name, entry in found.items()}

    async def allow(self, user: str, what: Sequence[tuple[ResourceType, str, AclOperation]]) -> None:
        """Give one of the strangers rights on topics and groups of these names."""
        rights = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for kind, name, operation in what
        ]
        admin = self._admin()
        await asyncio.gather(*(asyncio.wrap_future(given) for given in admin.create_acls(rights).values()))

    def _admin(self) -> Any:
        # Untyped in the library. Who lets go of it gives up what was asked.
        return AdminClient({"bootstrap.servers": self.brokers})

    def _at(self, listener: str) -> str:
        return f"127.0.0.1:{self._ports[listener]}"

    def _said(self, began: int) -> bytes:
        with self._log.open("rb") as log:
            log.seek(began)
            return log.read()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _run(self, *command: str | Path) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*self._java, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )

    def _properties(self) -> dict[str, object]:
        listeners = [name for name in self._ports if name != "controller"]
        protocols = {"plaintext": "PLAINTEXT", "sasl_ssl": "SASL_SSL", "ssl": "SSL", "controller": "PLAINTEXT"}
        said = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{self._at('controller')}",
            "listeners": ",".join(f"{name.upper()}://{self._at(name)}" for name in self._ports),
            "advertised.listeners": ",".join(f"{name.upper()}://{self._at(name)}" for name in listeners),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name.upper()}:{protocols[name]}" for name in self._ports),
            "log.dirs": self._folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            # A group begins with whoever is there, and may notice a dead member within a second.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            # Started again after a kill, it need not wait long for its own former self to be forgotten.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }
        return said | (self._secure_properties(self.authority) if self.authority else {})

    def _secure_properties(self, authority: "Authority") -> dict[str, object]:
        certificate, key = authority.sign("broker")
        keystore = authority.folder / "keystore.pem"
        keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
        login = "org.apache.kafka.common.security"
        both = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": keystore,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": authority.ca,
        }
        listener = "listener.name.sasl_ssl"
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in (USER, *STRANGERS))
        return {
            **both,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:CN=client",
            "listener.name.ssl.ssl.client.auth": "required",
            f"{listener}.ssl.client.auth": "none",
            f"{listener}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{listener}.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required {users};",
            f"{listener}.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        }


def _authority(folder: Path) -> "Authority":
    # Who measures has no certificates, and not the library that makes them.
    from tests.engines.certificates import Authority

    return Authority(folder)
