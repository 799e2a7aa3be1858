"""A real Kafka for tests: the jars, and what the virtual machine knows about their classes ahead of the next start."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from ameide.engine.files import sole_holder
from tests.engines.kafka.broker import KafkaBroker
from tests.engines.kafka.jars import jars, java


def set_up(cache_dir: Path, say: Callable[[str], None]) -> None:
    """Make whatever is missing in the cache folder: about a minute, once. Raises ``InstallError``."""
    archive = _archive(cache_dir, jars(cache_dir, say))
    if archive.exists():
        return
    with sole_holder(archive.with_suffix(".lock"), lambda: say("Another process starts Kafka for the first time.")):
        if not archive.exists():
            say("Starting Kafka once, so that it starts three times as fast from now on.")
            _train(cache_dir, archive, say)


def broker_in(folder: Path, cache_dir: Path, *, secure: bool = False) -> KafkaBroker:
    """A broker, not started yet, in ``folder``, empty or with what an earlier one left. Raises ``InstallError``."""
    set_up(cache_dir, lambda line: print(line, flush=True))
    found = jars(cache_dir, print)
    return KafkaBroker(found, folder, secure=secure, options=[f"-XX:SharedArchiveFile={_archive(cache_dir, found)}"])


def _archive(cache_dir: Path, found: Path) -> Path:
    # It serves the very virtual machine that wrote it, and no other.
    version = subprocess.run([java(), "-version"], capture_output=True, check=True).stderr
    return cache_dir / f"{found.name}-classes-{hashlib.sha256(version).hexdigest()[:12]}.jsa"


def _train(cache_dir: Path, archive: Path, say: Callable[[str], None]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ameide-kafka-"))
    written = folder / "classes.jsa"
    trained = KafkaBroker(
        jars(cache_dir, say), folder / "broker", secure=True, options=[f"-XX:ArchiveClassesAtExit={written}"]
    )
    trained.start()
    trained.stop()
    shutil.move(written, archive.with_suffix(".new"))
    archive.with_suffix(".new").replace(archive)
    shutil.rmtree(folder)
