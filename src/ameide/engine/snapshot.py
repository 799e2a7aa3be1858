"""One moment of the embedded engines, taken while they run, and put into a fresh state folder.

PostgreSQL is copied as a whole, so that the Domain's records and Temporal's histories are of the same moment: a copy of
each database for itself could hold a signal whose cause it has not, or the other way round.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

from ameide.engine.cluster import Cluster
from ameide.engine.errors import StateError
from ameide.engine.postgres import Postgres

BASE, LOG, VISIBILITY = "postgres/base.tar.gz", "postgres/pg_wal.tar.gz", "temporal/visibility.db"
_PATIENCE = 3600


def take(postgres: Postgres, temporal_home: Path, folder: Path) -> None:
    """Write the snapshot into the empty `folder`. PostgreSQL must run. Raises StateError.

    The visibility file is copied after the database: it may know a run too many, which nobody asks for, and lacks none.
    """
    if (temporal_home / "development.db").exists():
        raise StateError(
            "The `temporal` of the PATH keeps its runs in a file of its own, which cannot be copied together with the"
            " database while it runs. Stop for the moment: ameide down, back up, ameide up"
        )
    cluster, address = postgres.cluster(), postgres.address()
    postgres.admit_backups()
    done = subprocess.run(
        [
            cluster.programs / "pg_basebackup",
            f"--host={address.host}",
            f"--port={address.port}",
            f"--username={address.user}",
            f"--pgdata={(folder / BASE).parent}",
            *("--format=tar", "--compress=client-gzip:3", "--wal-method=stream", "--checkpoint=fast", "--no-password"),
        ],
        env={"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": address.password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    if done.returncode:
        raise StateError(f"PostgreSQL gave no copy of its data:\n{done.stderr.strip()[-2000:]}")
    visibility = temporal_home / "visibility.db"
    if visibility.exists():
        _copy_sqlite(visibility, folder / VISIBILITY)


def put(postgres: Postgres, temporal_home: Path, folder: Path) -> None:
    """Make the engines' data from the snapshot in `folder`. Raises StateError when there are data already."""
    cluster = postgres.cluster()
    if cluster.data.exists():
        raise StateError(f"{cluster.data} holds a database. Restore into another state folder, or: ameide down --purge")
    beside = cluster.home / "data.new"
    shutil.rmtree(beside, ignore_errors=True)
    for archive, place in ((BASE, beside), (LOG, beside / "pg_wal")):
        with tarfile.open(folder / archive) as tar:
            tar.extractall(place, filter="data")
    _make_private(beside, cluster)
    beside.rename(cluster.data)
    if (folder / VISIBILITY).exists():
        temporal_home.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(folder / VISIBILITY, temporal_home / "visibility.db")
        (temporal_home / "visibility.db").chmod(0o600)


def _copy_sqlite(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700)
    target.touch(mode=0o600)
    with (
        closing(sqlite3.connect(source.as_uri() + "?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)


def _make_private(data: Path, cluster: Cluster) -> None:
    """As PostgreSQL makes its folder: closed to all but the account that runs it."""
    for path in (data, *data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if cluster.account:
            cluster.account.own(path)
