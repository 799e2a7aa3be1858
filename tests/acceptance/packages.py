"""Published packages that nobody wrote for ameide, each from its own registry by that registry's ordinary client.

Each carries its own tests, and no `ameide.yaml`. What is downloaded is pinned by its hash and kept outside the clone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("AMEIDE_CACHE_DIR") or Path.home() / ".cache" / "ameide") / "packages"
INSTALL = {
    "go": "apt-get install golang-go",
    "npm": "apt-get install npm",
    "node": "apt-get install nodejs",
    "mvn": "apt-get install maven",
    "java": "apt-get install default-jdk-headless",
}


@dataclass(frozen=True)
class Package:
    """A package of a registry. `root` is the archive's folder with the sources; `change` are the files of a small true
    change with a test; `red` replaces, in a file, a text by another so that a test fails.

    `tests` is a test that has always been there, and `changed` the one that comes with the change.
    """

    ecosystem: str
    archive: str
    sha256: str
    root: str
    fetch: Callable[[Path], Path]
    change: Mapping[str, str]
    red: tuple[str, str, str]
    test: str
    changed: str

    def unpacked(self, folder: Path) -> Path:
        """The sources, in a folder of their own below `folder`."""
        archive = self._archive()
        target = folder / self.ecosystem
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(target)
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(target, filter="data")
        return target / self.root

    def _archive(self) -> Path:
        kept = CACHE / self.archive
        if not kept.is_file() or _sha256(kept) != self.sha256:
            CACHE.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                fetched = self.fetch(Path(folder))
                assert _sha256(fetched) == self.sha256, f"{self.archive} is not the one that was pinned"
                fetched.replace(kept)
        return kept


def program(name: str) -> str:
    """The path of a program that a test needs. Fails with the command that installs it."""
    found = shutil.which(name)
    assert found, f"{name} is missing. Install it: {INSTALL[name]}"
    return found


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(folder: Path, *argv: str, **env: str) -> str:
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _from_pypi(folder: Path) -> Path:
    argv = ("-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "itsdangerous==2.2.0")
    _run(folder, sys.executable, *argv)
    [found] = folder.glob("*.tar.gz")
    return found


def _from_go_proxy(folder: Path) -> Path:
    cache = folder / "modules"
    said = _run(
        folder,
        program("go"),
        "mod",
        "download",
        "-modcacherw",
        "-json",
        "github.com/google/uuid@v1.6.0",
        GOMODCACHE=str(cache),
        GOTOOLCHAIN="local",
    )
    return Path(json.loads(said)["Zip"])


def _from_npm(folder: Path) -> Path:
    _run(folder, program("npm"), "pack", "--silent", "deep-equal@1.0.1")
    [found] = folder.glob("*.tgz")
    return found


def _from_maven_central(folder: Path) -> Path:
    program("java")
    artifact = "org.apache.maven.shared:maven-shared-utils:3.3.4:zip:source-release"
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
    _run(folder, program("mvn"), "-B", "-q", plugin, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
    [found] = folder.glob("*.zip")
    return found


# The project's own build refuses a source without it.
_LICENSE = """\
/*
 * Licensed to the Apache Software Foundation (ASF) under one
 * or more contributor license agreements.  See the NOTICE file
 * distributed with this work for additional information
 * regarding copyright ownership.  The ASF licenses this file
 * to you under the Apache License, Version 2.0 (the
 * "License"); you may not use this file except in compliance
 * with the License.  You may obtain a copy of the License at
 *
 *   http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing,
 * software distributed under the License is distributed on an
 * "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY
 * KIND, either express or implied.  See the License for the
 * specific language governing permissions and limitations
 * under the License.
 */
"""
_JAVA = "org/apache/maven/shared/utils"

PACKAGES = {
    package.ecosystem: package
    for package in (
        Package(
            "python",
            "itsdangerous-2.2.0.tar.gz",
            "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
            "itsdangerous-2.2.0",
            _from_pypi,
            {
                "src/itsdangerous/shortening.py": 'def shortened(text: str) -> str:\n    return text[:8] + "…"\n',
                "tests/test_itsdangerous/test_shortening.py": "from itsdangerous.shortening import shortened\n\n\n"
                'def test_shortened():\n    assert shortened("signature-of-it") == "signatur…"\n',
            },
            ("src/itsdangerous/encoding.py", 'return base64.urlsafe_b64encode(string).rstrip(b"=")', 'return b"red"'),
            "tests/test_itsdangerous/test_encoding.py::test_base64[infinite]",
            "tests/test_itsdangerous/test_shortening.py::test_shortened",
        ),
        Package(
            "go",
            "google-uuid-v1.6.0.zip",
            "d0f02f377217f42702e259684e06441edbf5140dddcc34ba9bea56038b38a6ed",
            "github.com/google/uuid@v1.6.0",
            _from_go_proxy,
            {
                "short.go": "package uuid\n\n// Short is the first group of the UUID.\n"
                "func (uuid UUID) Short() string { return uuid.String()[:8] }\n",
                "short_test.go": 'package uuid\n\nimport "testing"\n\nfunc TestShort(t *testing.T) {\n'
                '\tif got := NameSpaceDNS.Short(); got != "6ba7b810" {\n\t\tt.Errorf("got %s", got)\n\t}\n}\n',
            },
            ("hash.go", "NewHash(sha1.New(), space, data, 5)\n}", "NewHash(sha1.New(), space, data, 4)\n}"),
            "github.com/google/uuid::TestSHA1",
            "github.com/google/uuid::TestShort",
        ),
        Package(
            "node",
            "deep-equal-1.0.1.tgz",
            "679226cbc8173a807e1985410f71a06092f25bea729da142d9fda15a8e085ed0",
            "package",
            _from_npm,
            {
                "lib/both.js": "module.exports = function (equal, a, b) {\n"
                "    return equal(a[0], b[0]) && equal(a[1], b[1]);\n};\n",
                "test/both.js": "var test = require('tape');\nvar both = require('../lib/both.js');\n\n"
                "test('both of two', function (t) {\n"
                "    t.ok(both(require('../'), [[1], [2]], [[1], [2]]));\n    t.end();\n});\n",
            },
            ("index.js", "return opts.strict ? actual === expected : actual == expected;", "return false;"),
            "null == undefined",
            "both of two",
        ),
        Package(
            "maven",
            "maven-shared-utils-3.3.4-source-release.zip",
            "5cccf13be755eb5bca4de69d3e27a1221bc956c243d2811866c2ce77218d82c0",
            "maven-shared-utils-3.3.4",
            _from_maven_central,
            {
                f"src/main/java/{_JAVA}/Initials.java": f"{_LICENSE}package org.apache.maven.shared.utils;\n\n"
                "/** The first letters of words. */\npublic final class Initials {\n    private Initials() {}\n\n"
                "    /** The first letter of each of two words. */\n"
                "    public static String of(String first, String last) {\n"
                '        return first.charAt(0) + "" + last.charAt(0);\n    }\n}\n',
                f"src/test/java/{_JAVA}/InitialsTest.java": f"{_LICENSE}package org.apache.maven.shared.utils;\n\n"
                "import org.junit.Assert;\nimport org.junit.Test;\n\npublic class InitialsTest {\n"
                "    @Test\n    public void testInitials() {\n"
                '        Assert.assertEquals("AL", Initials.of("Ada", "Lovelace"));\n    }\n}\n',
            },
            (
                "src/main/java/org/apache/maven/shared/utils/PathTool.java",
                "return determineRelativePath( relativeFilename, separator );",
                'return "red";',
            ),
            "src/test/java/org/apache/maven/shared/utils/PathToolTest.java::testGetRelativePath_2parm",
            "src/test/java/org/apache/maven/shared/utils/InitialsTest.java::testInitials",
        ),
    )
}
