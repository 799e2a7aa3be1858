"""The embedded Temporal server: real workflows on it, restarts, and repairs."""

import asyncio
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
from temporalio import workflow
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from ameide.engine.engine import Engine, Running
from ameide.engine.errors import StartError
from ameide.engine.namespace import SEARCH_ATTRIBUTES
from ameide.engine.registering import register
from ameide.engine.temporal_settings import FRONTEND
from ameide.process.temporal import need_search_attributes
from tests.engine.conftest import Said

CHANGE = SearchAttributeKey.for_keyword("AmeideChange")


@workflow.defn
class Waiting:
    """Ends with the word it is signalled."""

    def __init__(self) -> None:
        self._word = ""

    @workflow.signal
    def say(self, word: str) -> None:
        self._word = word

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: bool(self._word))
        return self._word


def worker(client: Client) -> Worker:
    return Worker(client, task_queue="engine", workflows=[Waiting], workflow_runner=UnsandboxedWorkflowRunner())


async def start_waiting(client: Client, change: str) -> None:
    attributes = TypedSearchAttributes([SearchAttributePair(CHANGE, change)])
    await client.start_workflow(Waiting.run, id=f"waiting-{change}", task_queue="engine", search_attributes=attributes)


async def found(client: Client, change: str) -> list[str]:
    return [execution.id async for execution in client.list_workflows(f"AmeideChange = '{change}'")]


async def test_a_workflow_runs_and_is_found_by_its_attribute(engine: Running) -> None:
    client = await Client.connect(engine.temporal_address, namespace=engine.namespace)
    await start_waiting(client, "chg-1")
    handle = client.get_workflow_handle_for(Waiting.run, "waiting-chg-1")
    async with worker(client):
        await handle.signal(Waiting.say, "hello")
        assert await handle.result() == "hello"
    async with asyncio.timeout(20):
        while await found(client, "chg-1") != ["waiting-chg-1"]:
            pass
    assert await found(client, "chg-2") == []


async def test_the_namespace_keeps_histories_for_thirty_days(engine: Running) -> None:
    client = await Client.connect(engine.temporal_address)
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=engine.namespace))
    assert described.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=30)


async def test_registering_again_adds_only_what_is_missing(engine: Running) -> None:
    await register(engine.temporal_address)
    await register(engine.temporal_address, search_attributes=(*SEARCH_ATTRIBUTES, "AmeideOutcome"))
    client = await Client.connect(engine.temporal_address, namespace=engine.namespace)
    assert [execution async for execution in client.list_workflows("AmeideOutcome = 'none'")] == []


async def test_an_unreachable_server_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(StartError, match=rf"{address}.*AmeideTenant"):
            await register(address, patience=0)


async def test_a_running_workflow_survives_kill_and_move(own_engine: Engine, said: Said) -> None:
    running = await asyncio.to_thread(own_engine.start)
    client = await Client.connect(running.temporal_address, namespace=running.namespace)
    await start_waiting(client, "chg-1")

    server = psutil.Process(own_engine.status()[1].pid)
    assert own_engine.temporal.home.stat().st_mode & 0o777 == 0o700
    assert {found.laddr.ip for found in server.net_connections("inet") if found.status == "LISTEN"} == {"127.0.0.1"}
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    await asyncio.to_thread(own_engine.stop)
    with socket.socket() as taken_database, socket.socket() as taken_frontend:
        for other, name in ((taken_database, "postgres"), (taken_frontend, FRONTEND)):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = running.postgres.port if name == "postgres" else int(running.temporal_address.split(":")[1])
            other.bind(("127.0.0.1", port))
            other.listen()
        moved = await asyncio.to_thread(own_engine.start)
    assert moved.temporal_address != running.temporal_address
    assert said.mentions(f"({FRONTEND}) is in use")

    client = await Client.connect(moved.temporal_address, namespace=moved.namespace)
    handle = client.get_workflow_handle_for(Waiting.run, "waiting-chg-1")
    async with worker(client):
        await handle.signal(Waiting.say, "still here")
        assert await handle.result() == "still here"


async def test_start_is_repeatable_and_repairs_a_cut_short_set_up(own_engine: Engine, said: Said) -> None:
    running = await asyncio.to_thread(own_engine.start)
    before = [engine.pid for engine in own_engine.status()]
    assert await asyncio.to_thread(own_engine.start) == running
    assert [engine.pid for engine in own_engine.status()] == before

    own_engine.temporal.stop()
    with psycopg.connect(running.postgres.conninfo, autocommit=True) as connection:
        connection.execute("COMMENT ON DATABASE temporal IS NULL")
    (own_engine.temporal.home / "visibility.db").write_bytes(b"")
    again = await asyncio.to_thread(own_engine.start)
    assert said.mentions("set-up of Temporal's database was interrupted")
    assert await found(await Client.connect(again.temporal_address, namespace=again.namespace), "any") == []


async def test_a_stale_pid_file_stops_nobody(own_engine: Engine) -> None:
    own_engine.temporal.home.mkdir(parents=True)
    me = psutil.Process()
    (own_engine.temporal.home / "pid.json").write_text(f'{{"pid": {me.pid}, "started": {me.create_time() - 60}}}')
    assert own_engine.status()[1].pid is None
    own_engine.stop()
    assert me.is_running()


async def test_a_server_that_somebody_else_runs_is_used(engine: Running, own_engine: Engine, said: Said) -> None:
    elsewhere = Engine(
        own_engine.home.parent, own_engine.home / "no-cache", said, temporal_address=engine.temporal_address
    )
    running = await asyncio.to_thread(elsewhere.start)
    assert running.temporal_address == engine.temporal_address
    assert elsewhere.status()[1].pid is None
    assert said.mentions("Using the Temporal server at")


async def test_an_operator_registers_a_namespace_by_a_command(engine: Running, tmp_path: Path) -> None:
    way = {"TEMPORAL_ADDRESS": engine.temporal_address, "TEMPORAL_NAMESPACE": "by-command"}
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "ameide", "temporal", "register"],
            env={"AMEIDE_STATE_DIR": str(tmp_path), **way},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "Namespace by-command has the search attributes AmeideTenant" in done.stdout
    client = await Client.connect(engine.temporal_address, namespace="by-command")
    await need_search_attributes(client)
