"""The jars of a real Kafka broker, fetched by Maven once, compared with the committed hashes."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ameide.engine.errors import InstallError
from ameide.engine.files import sole_holder

VERSION = "4.1.1"
_SOURCE = Path(__file__).parent
_NEEDED = "apt-get install maven openjdk-17-jre-headless"


def jars(cache_dir: Path, say: Callable[[str], None]) -> Path:
    """The folder with the jars, fetched unless it is there: 45 MB, about half a minute. Raises ``InstallError``."""
    folder = cache_dir / f"kafka-{VERSION}"
    if _differing(folder, read=False) is None:
        return folder
    with sole_holder(cache_dir / f"kafka-{VERSION}.lock", lambda: say("Another process is fetching Kafka; waiting.")):
        if _differing(folder, read=False) is not None:
            _fetch(folder, say)
    return folder


def java() -> str:
    """The program that runs the broker. Raises ``InstallError``."""
    found = shutil.which("java")
    if found is None:
        raise InstallError(f"Kafka runs on Java 17 or newer, and there is none on the PATH. Install it: {_NEEDED}")
    return found


def _fetch(folder: Path, say: Callable[[str], None]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise InstallError(f"Kafka's jars are fetched by Maven, which is not on the PATH. Install it: {_NEEDED}")
    java()
    say(f"Fetching Kafka {VERSION} with Maven, once, into {folder}.")
    began = time.monotonic()
    beside = folder.with_name(f"{folder.name}.fetching")
    for old in (beside, folder):
        shutil.rmtree(old, ignore_errors=True)
    fetch = [
        maven,
        "-B",
        "-q",
        "-f",
        _SOURCE / "pom.xml",
        "dependency:copy-dependencies",
        f"-DoutputDirectory={beside}",
    ]
    done = subprocess.run(fetch, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(
            f"Maven failed with exit code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-1000:]}\n"
            "Check that its repository is reachable, then run the same command again: it goes on from here."
        )
    if wrong := _differing(beside, read=True):
        raise InstallError(f"{wrong} differs from {_SOURCE / 'SHA256SUMS'}. Remove it from Maven's local repository.")
    beside.replace(folder)
    say(f"Fetched Kafka {VERSION} in {time.monotonic() - began:.0f} s.")


def _differing(folder: Path, *, read: bool) -> str | None:
    """The first jar that is missing, or, when their bytes are read, not the one that was committed."""
    for line in (_SOURCE / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        path = folder / name
        if not path.is_file() or (read and hashlib.sha256(path.read_bytes()).hexdigest() != digest):
            return name
    return None
