"""The embedded PostgreSQL: its life, its repairs, and who gets in."""

import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from ameide.engine.engine import Engine
from ameide.engine.errors import StateError
from ameide.engine.postgres import PostgresAddress
from tests.engine.conftest import Said


def value(address: PostgresAddress, query: str) -> object:
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


def write(address: PostgresAddress, *statements: str) -> None:
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def pid(engine: Engine) -> int:
    found = engine.status()[0].pid
    assert found
    return found


def test_data_survives_a_restart_on_the_same_port(own_engine: Engine) -> None:
    first = own_engine.start_postgres()
    write(first, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    own_engine.stop()
    again = own_engine.start_postgres()
    assert again == first
    assert value(again, "SELECT n FROM kept") == 7
    assert value(again, "SHOW fsync") == "on"


def test_a_second_start_leaves_the_server_alone(own_engine: Engine, said: Said) -> None:
    own_engine.start_postgres()
    server, lines = pid(own_engine), list(said.lines)
    own_engine.start_postgres()
    assert pid(own_engine) == server
    assert said.lines == lines


def test_two_starts_at_once_start_one_server(own_engine: Engine, state_dir: Path, cache_dir: Path, said: Said) -> None:
    engines = [own_engine, *(Engine(state_dir, cache_dir, said) for _ in range(3))]
    with ThreadPoolExecutor(len(engines)) as threads:
        addresses = set(threads.map(Engine.start_postgres, engines))
    assert len(addresses) == 1
    assert sum("is up at" in line for line in said.lines) == 1
    assert said.mentions("Another ameide command starts or stops the engines")


def test_asking_and_stopping_before_the_first_start_changes_nothing(own_engine: Engine, state_dir: Path) -> None:
    assert [engine.pid for engine in own_engine.status()] == [None, None]
    own_engine.stop()
    assert list(state_dir.iterdir()) == []


def test_it_outlives_the_program_that_started_it(own_engine: Engine, state_dir: Path, cache_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ameide.engine.engine import Engine;"
        "Engine(Path(sys.argv[1]), Path(sys.argv[2]), print).start_postgres()"
    )
    subprocess.run([sys.executable, "-c", program, state_dir, cache_dir], check=True, capture_output=True)
    assert os.getsid(pid(own_engine)) != os.getsid(0)
    assert value(own_engine.start_postgres(), "SELECT 1") == 1


def test_stop_stops_its_own_server_only(own_engine: Engine, postgres_server: PostgresAddress) -> None:
    own_engine.start_postgres()
    own_engine.stop()
    assert own_engine.status()[0].pid is None
    assert value(postgres_server, "SELECT 1") == 1


def test_strangers_on_the_machine_stay_out(own_engine: Engine) -> None:
    address = own_engine.start_postgres()
    for password in ("", "postgres", "guess"):
        with pytest.raises(psycopg.OperationalError, match=r"password"):
            psycopg.connect(replace(address, password=password).conninfo)
    sockets = own_engine.postgres.cluster().sockets
    with pytest.raises(psycopg.OperationalError, match=r"password"):
        psycopg.connect(f"host={sockets} port={address.port} user=postgres dbname=postgres")
    listening = {found.laddr.ip for found in psutil.Process(pid(own_engine)).net_connections("inet")}
    assert listening == {"127.0.0.1"}
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((own_engine.home / "secrets.json").stat().st_mode) == 0o600
    assert address.password not in repr(address)


def test_a_busy_port_is_replaced_and_named(own_engine: Engine, said: Said) -> None:
    first = own_engine.start_postgres()
    own_engine.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first.port))
        other.listen()
        second = own_engine.start_postgres()
    assert second.port != first.port
    assert said.mentions(f"Port {first.port} (postgres) is in use")


def test_a_killed_server_recovers_what_was_committed(own_engine: Engine, said: Said) -> None:
    address = own_engine.start_postgres()
    write(address, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    server = psutil.Process(pid(own_engine))
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    assert own_engine.status()[0].pid is None
    assert value(own_engine.start_postgres(), "SELECT n FROM kept") == 7
    assert said.mentions("was not shut down in order")


def test_a_stale_pid_that_belongs_to_another_program_is_recognised(own_engine: Engine, said: Said) -> None:
    own_engine.start_postgres()
    cluster = own_engine.postgres.cluster()
    pid_file = cluster.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    own_engine.stop()
    with subprocess.Popen(["sleep", "600"], user=cluster.account.uid if cluster.account else None) as bystander:
        cluster.write(pid_file, "\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        own_engine.stop()
        assert bystander.poll() is None
        own_engine.start_postgres()
        assert pid(own_engine) != bystander.pid
        assert bystander.poll() is None
        bystander.kill()
    assert said.mentions("was not shut down in order")


def test_an_interrupted_initialisation_is_done_again(own_engine: Engine, said: Said) -> None:
    cluster = own_engine.postgres.cluster()
    for half in (cluster.home / "data.new", cluster.data):
        (half / "base").mkdir(parents=True)
        (half / "PG_VERSION").write_text("18\n")
    assert value(own_engine.start_postgres(), "SELECT 1") == 1
    assert said.mentions("initialisation of the database was interrupted")
    assert not (cluster.home / "data.new").exists()


def test_data_of_another_major_version_is_refused(own_engine: Engine) -> None:
    own_engine.start_postgres()
    own_engine.stop()
    cluster = own_engine.postgres.cluster()
    cluster.write(cluster.data / "PG_VERSION", "17\n")
    with pytest.raises(StateError, match=r"PostgreSQL 17, this is 18.*pg_dump"):
        own_engine.start_postgres()


def test_a_lost_password_file_is_named(own_engine: Engine) -> None:
    own_engine.start_postgres()
    own_engine.stop()
    (own_engine.home / "secrets.json").unlink()
    with pytest.raises(StateError, match=r"secrets\.json.*Restore it"):
        own_engine.start_postgres()


def test_purge_refuses_while_it_runs_and_deletes_what_it_names(own_engine: Engine) -> None:
    own_engine.start_postgres()
    with pytest.raises(StateError, match="Stop them first"):
        own_engine.purge()
    own_engine.stop()
    paths = own_engine.purge_paths()
    assert paths
    own_engine.purge()
    assert not any(path.exists() for path in paths)


def test_a_role_reaches_only_its_own_database(own_engine: Engine) -> None:
    own_engine.start_postgres()
    temporal = own_engine.postgres.ensure_database("temporal", owner="temporal")
    assert own_engine.postgres.ensure_database("temporal", owner="temporal") == temporal
    assert value(temporal, "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user") is False
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(replace(temporal, dbname="ameide").conninfo)


def test_a_server_that_admitted_no_backups_does_when_it_is_asked_to(own_engine: Engine) -> None:
    address = own_engine.start_postgres()
    rules = Path(str(value(address, "SHOW hba_file")))
    kept = [line for line in rules.read_text().splitlines() if "replication" not in line]
    rules.write_text("\n".join(kept) + "\n")
    loaded = value(address, "SELECT pg_conf_load_time()")
    own_engine.postgres.admit_backups()
    assert value(address, "SELECT pg_conf_load_time()") != loaded
    with psycopg.connect(address.conninfo, replication="true", autocommit=True) as connection:
        assert connection.execute("IDENTIFY_SYSTEM").fetchone()
