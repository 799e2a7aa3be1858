"""Which registries the clients of a machine are made for: real pip, and doubles of the others."""

import sys
import zipfile
from pathlib import Path

from ameide.infra.isolation.clients import registry_hosts

MODEL = "<project><repositories><repository><url>https://central.example.org/maven2</url></repository></repositories>"


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_each_client_says_its_own(tmp_path: Path) -> None:
    programs, maven = tmp_path / "bin", tmp_path / "maven"
    program(
        programs, "go", 'case "$2" in GOPROXY) echo https://go.example.org,direct;; *) echo sums.example.org+key;; esac'
    )
    program(programs, "npm", "echo http://npm.example.org:4873/")
    program(maven / "bin", "mvn", "exit 1")
    (programs / "mvn").symlink_to(maven / "bin" / "mvn")
    (maven / "lib").mkdir()
    with zipfile.ZipFile(maven / "lib" / "maven-model-builder-3.9.jar", "w") as archive:
        archive.writestr("org/apache/maven/model/pom-4.0.0.xml", MODEL)
    index, files, *others = registry_hosts(Path(sys.executable), (programs, Path("/bin")))
    assert index != files
    assert index.endswith(":443")
    assert files.endswith(":443")
    assert others == ["go.example.org:443", "sums.example.org:443", "npm.example.org:4873", "central.example.org:443"]


def test_clients_that_are_not_there_or_fail_have_no_say(tmp_path: Path) -> None:
    program(tmp_path, "go", "echo off")
    program(tmp_path, "npm", "exit 3")
    program(tmp_path, "python", "exit 1")
    (tmp_path / "mvn").symlink_to("/bin/true")
    assert registry_hosts(tmp_path / "python", (tmp_path, Path("/bin"))) == ()
