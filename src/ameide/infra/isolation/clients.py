"""The package registries that this machine's own clients are made for, as they say it themselves.

Asked once a process, with no home folder: a child of a work has none of its operator's either. A client that is not
there has no say, and no child that could use it.
"""

from __future__ import annotations

import functools
import logging
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

PORTS = {"https": 443, "http": 80}
# The index is one host, what it links to another. An environment without pip may have the one that Python brings along.
_PIP = """\
import sys
try:
    import pip
except ImportError:
    import ensurepip, pathlib
    sys.path[:0] = map(str, pathlib.Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
from pip._internal.models.index import PyPI
print(PyPI.url, "https://" + PyPI.file_storage_domain)
"""
_SUPER_POM = "org/apache/maven/model/pom-4.0.0.xml"
_PATIENCE = 20.0


@functools.cache
def registry_hosts(python: Path, search_path: tuple[Path, ...]) -> tuple[str, ...]:
    """``host:port`` of each registry. It starts programs, so call it from a thread."""
    path = ":".join(map(str, search_path))
    said = [
        _answer([str(python), "-I", "-c", _PIP], path),
        _answer(["go", "env", "GOPROXY"], path),
        _checksums(_answer(["go", "env", "GOSUMDB"], path)),
        _answer(["npm", "config", "get", "registry"], path),
        *_maven(path),
    ]
    return tuple(dict.fromkeys(host for text in said for host in hosts_in(text)))


def hosts_in(text: str) -> Iterator[str]:
    """``host:port`` of every http or https URL among words that spaces, commas or bars part."""
    for word in re.split(r"[\s,|]+", text):
        # An index of uv may have a name before it.
        url = urlsplit(word[word.find("http") :] if "http" in word else word)
        if url.scheme in PORTS and url.hostname:
            host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
            yield f"{host}:{url.port or PORTS[url.scheme]}"


def _answer(argv: list[str], path: str) -> str:
    program = shutil.which(argv[0], path=path)
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            cwd="/",
            env={"PATH": path, "HOME": "/nonexistent", "GOTOOLCHAIN": "local"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("a package client does not name its registry", extra={"client": argv[0], "error": str(error)})
        return ""
    return done.stdout


def _checksums(said: str) -> str:
    """Go names its checksum database without a scheme; a key may come after the name, and `off` is none."""
    name = (said.split() or ["off"])[0].partition("+")[0]
    return "" if name == "off" else f"https://{name}"


def _maven(path: str) -> Iterator[str]:
    """Maven's is in the model that every other one inherits."""
    program = shutil.which("mvn", path=path)
    if program is None:
        return
    for home in Path(program).resolve().parents[:2]:
        for library in sorted((home / "lib").glob("maven-model-builder-*.jar")):
            try:
                with zipfile.ZipFile(library) as archive:
                    model = archive.read(_SUPER_POM).decode("utf-8", "replace")
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                logger.warning("Maven's model cannot be read", extra={"file": str(library), "error": str(error)})
                continue
            yield " ".join(re.findall(r"<url>\s*([^<\s]+)", model))
            return
