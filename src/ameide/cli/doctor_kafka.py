"""Whether Kafka answers, where something goes by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ameide import config
from ameide.cli.doctor_machine import Check
from ameide.cli.processes import Managed
from ameide.cli.session import Session
from ameide.config import Settings
from ameide.contracts.transports import Transports
from ameide.errors import AmeideError

_NAME = "Kafka answers"


def kafka(session: Session) -> Sequence[Check]:
    """The brokers, and the topics that a forwarder has made. Nothing is said where all goes by PostgreSQL."""
    try:
        settings, by_kafka = _where(session)
        if not by_kafka.any_kafka:
            return []
        # The client library loads slowly, and only this check needs it.
        from ameide.app.kafka import missing_topics

        missing = asyncio.run(missing_topics(settings, by_kafka))
    except AmeideError as error:
        said = f"{error.field}: {error.message}" if error.field else error.message
        return [Check(_NAME, False, said, error.remedy)]
    answers = Check(_NAME, True, settings.kafka_brokers)
    name = "topics of Kafka"
    if not missing:
        return [answers, Check(name, True, "all are there")]
    if not session.settings.address and not Managed("control", session.state).ready():
        return [answers, Check(name, True, f"{len(missing)} are made when the forwarder starts")]
    remedy = "start a forwarder whose user may create topics, or make them as docs/how-to/kafka.md says"
    return [answers, Check(name, False, f"{', '.join(missing)}: not there", remedy)]


def _where(session: Session) -> tuple[Settings, Transports]:
    """The settings in force: ours, else those that the control process of this state folder was started with."""
    settings = session.settings
    by_kafka = Transports.of(settings.facts_transport, settings.queue_transport)
    file = session.state.settings_of("control")
    if not by_kafka.any_kafka and not settings.kafka_brokers and file.exists():
        settings = config.read({}, file=file)
        by_kafka = Transports.of(settings.facts_transport, settings.queue_transport)
    return settings, by_kafka
