"""The control plane of ameide outside of the cluster: an embedded PostgreSQL, the Domain and what feeds its queues.

No Temporal: works are requested one by one, as `ameide work request` does.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from ameide import config
from ameide.cli.engines import database_urls
from ameide.cli.process_settings import write_settings
from ameide.cli.starting import with_schema_and_principals
from ameide.cli.state import StateFolder
from ameide.config import Settings
from ameide.engine.engine import Engine
from ameide.engine.files import tail
from ameide.engine.ports import Ports
from ameide.rpc.clients import Clients
from ameide_core_proto.common.v1.metadata_pb import Scope
from ameide_core_proto.transformation.governance.v1.command_service_pb import RegisterRepositoryRequest
from ameide_core_proto.transformation.work.v1.command_service_pb import RequestWorkRequest
from ameide_core_proto.transformation.work.v1.work_pb import (
    ActionKind,
    FailureCode,
    WorkInputs,
    WorkKind,
    WorkRequest,
    WorkStatus,
)
from tests.cluster.control_plane import wait_for

Say = Callable[[str], None]
ROLES = ("domain", "relay", "forwarder", "sweeper", "projector")
UI_SUITE = "ui"
"""A verification suite whose queue goes by Kafka; all other queues are PostgreSQL's."""
_OF_OTHERS = ("database_url_admin", "database_url_keda")
_BY_KAFKA = ("verify.ui_harness=kafka",)
REPOSITORY = "orders"
_OF_CONTROL = (
    "state_dir",
    "tenant",
    "address",
    "listen_port",
    "object_store",
    "lease_seconds",
    "log_level",
    "kafka_brokers",
    "queue_transport",
)


@dataclass
class Installation:
    """`folder` has the state, the evidence and the log of the control process; `brokers` are of a running Kafka."""

    folder: Path
    cache_dir: Path
    brokers: str
    say: Say
    settings: Settings = field(init=False)
    _engine: Engine | None = None
    _control: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> StateFolder:
        """Tokens and settings files."""
        return StateFolder(self.settings.state_dir)

    @property
    def evidence(self) -> Path:
        """The object store: a folder."""
        return self.folder / "evidence"

    @property
    def log(self) -> Path:
        """What the control process says."""
        return self.folder / "control.log"

    def start(self) -> None:
        """Start everything; returns when the Domain answers."""
        state_dir = self.folder / "state"
        self.evidence.mkdir(parents=True)
        self._engine = Engine(state_dir, self.cache_dir, self.say)
        StateFolder(state_dir).prepare()
        postgres = self._engine.start_postgres()
        urls = database_urls(StateFolder(state_dir), postgres)
        # As an operator makes it for a scaler; the migration gives the role this password.
        place = f"{postgres.host}:{postgres.port}/{postgres.dbname}"
        urls["database_url_keda"] = f"postgresql://{config.SCALER_ROLE}:{secrets.token_hex(16)}@{place}"
        port = Ports(self.folder / "ports.json", self.say).claim(["domain"])["domain"]
        self.settings = replace(
            config.read({"AMEIDE_STATE_DIR": str(state_dir)}),
            address=f"http://127.0.0.1:{port}",
            listen_port=port,
            object_store=self.evidence.as_uri(),
            kafka_brokers=self.brokers,
            queue_transport=_BY_KAFKA,
            **urls,
        )
        with_schema_and_principals(self.settings, lambda line: None)
        known = {row.name: getattr(self.settings, row.name) for row in fields(self.settings)}
        names = (*_OF_CONTROL, *(name for name in known if name.startswith("database_url_") and known[name]))
        told = {name: known[name] for name in names if name not in _OF_OTHERS}
        write_settings(self.state.settings_of("control"), config.to_toml(told))
        ready = self.folder / "control.ready"
        with self.log.open("ab") as output:
            self._control = subprocess.Popen(
                [sys.executable, "-m", "ameide", "serve", *ROLES, "--ready-file", str(ready)],
                env={"PATH": os.environ["PATH"], config.CONFIG_VARIABLE: str(self.state.settings_of("control"))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for("the Domain", ready.exists, check=self.check)
        self.say(f"Started the Domain at {self.settings.address}.")

    def check(self) -> None:
        """Raises AssertionError with the end of its log when the control process has ended."""
        code = self._control.poll() if self._control else None
        assert code is None, f"the Domain ended with exit code {code}; {self.log}:\n{tail(self.log)}"

    def stop(self) -> None:
        """End everything."""
        if self._control:
            self._control.terminate()
            try:
                self._control.wait(40)
            except subprocess.TimeoutExpired:
                self._control.kill()
                self._control.wait()
        if self._engine:
            self._engine.stop()
            self._engine.purge()

    def remove(self) -> None:
        """Delete what it kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def register(self, url: str) -> None:
        """Register the repository that works are about."""
        command = RegisterRepositoryRequest(
            scope=self._scope,
            client_request_id=uuid.uuid4().hex,
            name=REPOSITORY,
            url=url,
            default_branch="main",
        )
        self._say_to("owner", lambda clients: clients.governance.register_repository(command))

    def request_verification(self, commit: str, count: int, suite: str = "") -> list[str]:
        """So many tool runs, which need no coder; the ids of the works."""

        def wanted(number: int) -> RequestWorkRequest:
            command = _work(WorkKind.TOOL_RUN, ActionKind.VERIFY, commit)
            command.verification_suite_ref = suite
            return command

        return self._request(count, wanted)

    def request_change(self, commit: str, count: int) -> list[str]:
        """So many pieces of agent work for the real Codex, each on a branch of its own; the ids of the works."""

        def wanted(number: int) -> RequestWorkRequest:
            command = _work(WorkKind.AGENT_WORK, ActionKind.PUBLISH, commit)
            command.coder = "codex"
            command.summary = "Say in the README that orders can be canceled"
            command.inputs = WorkInputs(branch=f"agent/cluster/{uuid.uuid4().hex[:12]}")
            return command

        return self._request(count, wanted)

    def intents(self, works: Sequence[str]) -> int:
        """How many invitations to these works were announced."""
        statement = "SELECT count(*) FROM ameide.log WHERE kind = 'intent' AND work_request_id = ANY(%s)"
        [(count,)] = self.sql(statement, list(works))
        return int(count)

    def outcomes(self, works: Sequence[str]) -> Counter[str]:
        """How those of the works that have ended did: `succeeded`, or a failure code, each once a fact in the log."""
        statement = """
            SELECT w.state FROM ameide.log l JOIN ameide.work w USING (tenant_id, work_request_id)
            WHERE l.kind = 'fact' AND l.name = ANY(%s) AND l.work_request_id = ANY(%s)"""
        rows = self.sql(statement, ["WorkCompleted", "WorkFailed", "WorkCanceled"], list(works))
        return Counter(_ending(WorkRequest.from_binary(bytes(row[0]))) for row in rows)

    def waiting(self) -> int:
        """How many invitations nobody has taken, in all queues."""
        [(count,)] = self.sql("SELECT count(*) FROM ameide.queue_item")
        return int(count)

    def sql(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows, as the superuser."""
        with psycopg.connect(self.settings.database_url_admin, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    @property
    def _scope(self) -> Scope:
        return Scope(tenant_id=self.settings.tenant)

    def _request(self, count: int, wanted: Callable[[int], RequestWorkRequest]) -> list[str]:
        async def all_of_them(clients: Clients) -> list[str]:
            found: list[str] = []
            for number in range(count):
                command = wanted(number)
                command.scope = self._scope
                answer = await clients.work.request_work(command)
                assert answer.work
                found.append(answer.work.work_request_id)
            return found

        return self._say_to("requester", all_of_them)

    def _say_to(self, who: str, call: Callable[[Clients], Any]) -> Any:
        async def said() -> Any:
            clients = Clients(self.settings.address, self.state.token(who) or "")
            try:
                return await call(clients)
            finally:
                await clients.close()

        return asyncio.run(said())


def _work(kind: WorkKind, action: ActionKind, commit: str) -> RequestWorkRequest:
    return RequestWorkRequest(
        client_request_id=uuid.uuid4().hex,
        work_kind=kind,
        action_kind=action,
        repository_id=REPOSITORY,
        commit_sha=commit,
        base_sha=commit,
        inputs=WorkInputs(),
    )


def _ending(work: WorkRequest) -> str:
    code = FailureCode(work.result.failure_code) if work.result else FailureCode.UNSPECIFIED
    return code.name if code else WorkStatus(work.status).name.lower()
