"""How to reach the brokers, and what to do about the errors of the client library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException

from ameide.config import Settings
from ameide.errors import InvalidArgument, Unreachable

T = TypeVar("T")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
Option = str | int | float | bool
_CREDENTIALS = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
_RIGHTS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """The brokers and how this client proves who it is. An empty path means: not given."""

    # host:port, separated by commas.
    brokers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ca_file: Path = Path()
    certificate_file: Path = Path()
    key_file: Path = Path()
    key_password: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """From the settings `kafka_*`. Raises InvalidArgument naming the one that is missing or wrong."""
        made = cls(
            brokers=settings.kafka_brokers,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.kafka_sasl_password,
            ca_file=settings.kafka_ca_file,
            certificate_file=settings.kafka_certificate_file,
            key_file=settings.kafka_key_file,
            key_password=settings.kafka_key_password,
        )
        made.check()
        return made

    def check(self) -> None:
        """Raises InvalidArgument naming the setting that is missing or wrong."""
        for broker in self.brokers.split(","):
            host, colon, port = broker.strip().rpartition(":")
            if not (host and colon and port.isdecimal()):
                raise InvalidArgument(
                    f"{broker.strip()!r} is no broker",
                    field="KAFKA_BROKERS",
                    remedy="Name brokers as host:port, separated by commas",
                )
        _one_of(self.security_protocol, PROTOCOLS, "AMEIDE_KAFKA_SECURITY_PROTOCOL")
        if self.security_protocol.startswith("SASL"):
            _one_of(self.sasl_mechanism, MECHANISMS, "AMEIDE_KAFKA_SASL_MECHANISM")
            for name, value in (("USERNAME", self.sasl_username), ("PASSWORD", self.sasl_password)):
                if not value:
                    raise InvalidArgument(
                        "is not set",
                        field=f"AMEIDE_KAFKA_SASL_{name}",
                        remedy=f"{self.security_protocol} needs it; or choose another AMEIDE_KAFKA_SECURITY_PROTOCOL",
                    )
        if (self.certificate_file == Path()) != (self.key_file == Path()):
            raise InvalidArgument(
                "is not set",
                field="AMEIDE_KAFKA_KEY_FILE" if self.key_file == Path() else "AMEIDE_KAFKA_CERTIFICATE_FILE",
                remedy="A certificate and its key go together",
            )
        for name, path in (("CA", self.ca_file), ("CERTIFICATE", self.certificate_file), ("KEY", self.key_file)):
            if path != Path() and not path.is_file():
                raise InvalidArgument(
                    f"{path} is no file", field=f"AMEIDE_KAFKA_{name}_FILE", remedy="Name a PEM file that is there"
                )

    def options(self) -> dict[str, Option]:
        """What the client library takes. It holds the secrets."""
        said: dict[str, Option] = {
            "bootstrap.servers": self.brokers,
            "security.protocol": self.security_protocol,
            "client.id": "ameide",
            "socket.keepalive.enable": True,
            # A broker that is silent for so long is gone.
            "socket.timeout.ms": 10_000,
            "socket.connection.setup.timeout.ms": 10_000,
            "reconnect.backoff.max.ms": 2_000,
            # What goes wrong comes as an error, with a remedy; the library's own lines would repeat it each second.
            "log_level": 0,
        }
        if self.security_protocol.startswith("SASL"):
            said |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password,
            }
        for option, path in (
            ("ssl.ca.location", self.ca_file),
            ("ssl.certificate.location", self.certificate_file),
            ("ssl.key.location", self.key_file),
        ):
            if path != Path():
                said[option] = str(path)
        return said | ({"ssl.key.password": self.key_password} if self.key_password else {})


class Troubles:
    """What the library last had trouble with. An answer that stays out has no reason; this is why."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None
        # Whether no broker was to be reached, since it was last set to False.
        self.down = False

    def note(self, error: KafkaError) -> None:
        """The callback `error_cb`."""
        # That all are down is what the others come to.
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.down = True
        else:
            self._last = error

    def or_else(self, error: KafkaError) -> KafkaError:
        """The last trouble, or this error if there was none."""
        return self._last or error


def reason_of(error: KafkaException) -> KafkaError:
    """What the library says went wrong."""
    return cast("KafkaError", error.args[0])


def unreachable(error: KafkaError, doing: str) -> Unreachable:
    """What is said when Kafka did not do something, e.g. `Kafka did not take messages`, for callers to try again."""
    return Unreachable(f"{doing}: {error.str()}", remedy=_remedy(error), reason=error.name())


def made(make: Callable[[], T]) -> T:
    """A client of the library. Raises InvalidArgument when it cannot use what the settings say, such as a key file."""
    try:
        return make()
    except KafkaException as error:
        raise InvalidArgument(
            f"the client of Kafka does not take the settings: {reason_of(error).str()}",
            field="AMEIDE_KAFKA_…",
            remedy="Correct the setting that it names, e.g. the PEM files or AMEIDE_KAFKA_KEY_PASSWORD",
        ) from error


def _remedy(error: KafkaError) -> str:
    code = error.code()
    if code in _CREDENTIALS:
        return "Check AMEIDE_KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM, or the certificate of this client"
    if code == KafkaError._SSL or "SSL" in error.str():
        return (
            "Check AMEIDE_KAFKA_CA_FILE, AMEIDE_KAFKA_CERTIFICATE_FILE and AMEIDE_KAFKA_SECURITY_PROTOCOL against what "
            "the brokers' listener wants"
        )
    if code in _RIGHTS:
        return "Let this client's user do so; docs/how-to/kafka.md lists the rights that each role needs"
    if code == KafkaError.INVALID_SESSION_TIMEOUT:
        return "Set AMEIDE_KAFKA_SESSION_SECONDS to what the brokers admit (group.min.session.timeout.ms, 6 by default)"
    if code == KafkaError.INCONSISTENT_GROUP_PROTOCOL:
        return "Something else consumes under this group's name: give it a group of its own"
    if code in _TOPIC:
        return "The forwarder makes the topics when it starts; or make them as docs/how-to/kafka.md says"
    return (
        "Do the brokers of KAFKA_BROKERS run, can this host reach the addresses that they advertise, and does their "
        "listener speak AMEIDE_KAFKA_SECURITY_PROTOCOL?"
    )


def _one_of(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise InvalidArgument(f"{value!r} is not known", field=name, remedy=f"Choose {', '.join(known)}")
