"""What dependency manifests say, also those that were written to keep their reader busy."""

from __future__ import annotations

import pytest

from ameide.infra.analysis.manifests import read

POM = """\
<project>
  <parent><artifactId>base</artifactId></parent>
  <dependencies>
    <dependency><groupId>g</groupId><artifactId> first </artifactId></dependency>
    <dependency>
      <artifactId>second</artifactId>
    </dependency>
  </dependencies>
  <artifactId>orders</artifactId>
</project>
"""
GO = """\
module example.org/orders

go 1.27

require example.org/one v1.2.3
require (
\texample.org/two v0.1.0 // indirect
\tnodots v1.0.0
)
"""


@pytest.mark.parametrize(
    ("path", "text", "name", "needed"),
    [
        ("a/pom.xml", POM, "orders", ("first", "second")),
        ("go.mod", GO, "example.org/orders", ("example.org/one", "example.org/two")),
    ],
)
def test_names_and_dependencies_are_found(path: str, text: str, name: str, needed: tuple[str, ...]) -> None:
    found = read(path, text)
    assert (found.name, found.dependencies, found.problem) == (name, needed, "")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pom.xml", "<dependency>" * 170_000),
        ("pom.xml", "<parent>" * 250_000),
        ("pom.xml", "<dependency><artifactId>a</artifactId>" * 50_000),
        ("go.mod", "." * (2 << 20)),
        ("go.mod", "require " * 250_000),
    ],
)
def test_a_manifest_takes_as_long_as_it_is(path: str, text: str) -> None:
    assert read(path, text).dependencies == ()
