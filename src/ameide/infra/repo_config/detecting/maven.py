"""A Maven project: `mvn test`; surefire writes one JUnit file for each class of tests, in each module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.parsers import expat

from ameide.infra.repo_config.detecting.found import Found, Read
from ameide.infra.repo_config.load import ConfigError
from ameide.infra.repo_config.model import RepoConfig, Suite

RUN = ("mvn", "--batch-mode", "--no-transfer-progress", "--fail-at-end", "test")
JUNIT = "**/target/surefire-reports/TEST-*.xml"

_TEST_FILE = re.compile(r"(?:.*/)?src/test/(?:java|kotlin|groovy|scala)/.+\.(?:java|kt|groovy|scala)")


async def detect(paths: Sequence[str], read: Read) -> Found | None:
    """The configuration of a Maven project with tests; None for anything else. Raises `ConfigError` for no pom."""
    tests = [path for path in paths if _TEST_FILE.fullmatch(path)]
    if "pom.xml" not in paths or not tests:
        return None
    names = _elements(await read("pom.xml") or b"")
    modules = sum(path.endswith("/pom.xml") for path in paths) if "module" in names else 0
    return Found(
        "Maven",
        RepoConfig(suites={"default": Suite("default", RUN, JUNIT, timeout=1800)}, detected=True),
        [f"pom.xml{f' with modules ({modules} files)' if modules else ''}, and {len(tests)} files with tests"],
        [
            "The tests are those of surefire, in the phase `test`; integration tests of failsafe are left out.",
            *(["The Maven wrapper is left out: `mvn` of the executor's machine is used."] if "mvnw" in paths else []),
        ],
    )


def _elements(pom: bytes) -> set[str]:
    names: set[str] = set()

    def start(name: str, _attributes: dict[str, str]) -> None:
        names.add(name)

    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = start
    try:
        parser.Parse(pom, True)
    except expat.ExpatError as error:
        raise ConfigError(
            f"is no well-formed XML ({error})", field="pom.xml", remedy="Correct it, or add an ameide.yaml."
        ) from error
    return names
