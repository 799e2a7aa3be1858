"""What an executor, a coder and a verification can see while they work (contracts 8 and 9): looked at from outside."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from ameide.infra.isolation.bubblewrap import proxies
from ameide.infra.steps import Profile
from tests.acceptance.hold import Hold, create_held_orders
from tests.acceptance.installation import Installation, remove, wait_for

# What the operator set for package managers; verify gets it, the coder does not.
OPERATOR = {
    "HTTPS_PROXY": "http://proxy.operator.example:3128",
    "NO_PROXY": "internal.operator.example",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/operator.pem",
    "PIP_INDEX_URL": "https://index.operator.example/simple",
}
BASE = {
    *("PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE", "AMEIDE_WORKSPACE"),
    *proxies(Profile.CODER),
}
CODER = BASE | {"AMEIDE_PROMPT_FILE", "AMEIDE_ITERATION", "AMEIDE_WORK_REQUEST_ID"}
# A shell sets these itself.
SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}
FOREIGN = ("DATABASE", "POSTGRES", "PGPASS", "TEMPORAL", "KAFKA", "BROKER", "PROCESS_TOKEN")

PROBE = """\
import json, os, sys
from pathlib import Path

def look(path):
    try:
        found = os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        return f"{len(found)} read"
    except OSError as error:
        return type(error).__name__

report = {path: look(path) for path in json.loads(Path(sys.argv[1]).read_text())}
report["uid"] = os.getuid()
Path(os.environ["TMPDIR"], "report.json").write_text(json.dumps(report))
"""


@dataclass(frozen=True)
class Sight:
    """What was found while two works ran at once: a coder and, for another change, a verification."""

    installation: Installation
    environments: dict[str, dict[str, str]]
    """The whole environment of supervisor, author, verifier, coder, verify, by these names."""
    connections: dict[str, set[str]]
    """The remote ends, ``host:port``, of all connections of supervisor, author, verifier."""
    uids: dict[str, int]
    probe: dict[str, Any]
    """What the coder could read, by path: ``<n> read`` or the name of the error."""


@pytest.fixture(scope="module")
def sight() -> Iterator[Sight]:
    """Two changes, both stopped in the middle, looked at and let go."""
    # Heartbeats are a third of a lease apart: close enough for their connection to stay open between them.
    made = Installation.make(**OPERATOR, AMEIDE_LEASE_SECONDS="9")
    holds = {name: Hold(made.state_dir / "holds" / name) for name in ("coder", "probed", "verify")}
    probe, paths = made.state_dir / "holds" / "probe.py", made.state_dir / "holds" / "probe.json"
    probe.write_text(PROBE)
    script = made.state_dir / "coder.sh"
    script.write_text(f"cat {holds['coder'].path}; python {probe} {paths}; cat {holds['probed'].path}; date > NOTES.md")
    made.settings["AMEIDE_CODER_COMMAND"] = f"sh {script}"
    try:
        made.ameide("up")
        url, gitops = create_held_orders(made.state_dir / "remotes" / "orders", holds["verify"])
        made.ameide("repo", "add", "orders", url, "--gitops", gitops)
        yield _look(made, holds, paths)
    finally:
        for hold in holds.values():
            hold.release()
        remove(made)


def _look(made: Installation, holds: dict[str, Hold], paths: Path) -> Sight:
    holds["coder"].set()
    holds["probed"].set()
    first = made.start_change("orders", "The one that is coded", "It is noted", coder="command")
    made.decide(made.gate(first, "REQUIREMENT_STABILIZED"))
    coder = holds["coder"].reached(made, first)
    holds["verify"].set()
    second = made.start_change("orders", "The one that is verified", "It is noted", coder="command")
    made.decide(made.gate(second, "REQUIREMENT_STABILIZED"))
    verify = holds["verify"].reached(made, second)
    programs = executors(made)
    environments = {name: process.environ() for name, process in programs.items()}
    environments |= {"coder": coder.environ(), "verify": verify.environ()}
    connections = {
        name: {peer(c.raddr) for c in process.net_connections("inet") if c.raddr} for name, process in programs.items()
    }
    other = Path(environments["verify"]["AMEIDE_WORKSPACE"])
    own = Path(environments["coder"]["AMEIDE_WORKSPACE"])
    state = made.state_dir
    wanted = [
        *(state / name for name in ("secrets.json", "tokens", "run", "logs", "objects", "engine")),
        *secret_files(made),
        *(state / "objects").rglob("*.log"),
        *(other, *other.iterdir(), own / "private"),
        *(Path(f"/proc/{process.pid}/environ") for process in (*programs.values(), verify, psutil.Process())),
        # The counter-sample: what it may read, so that "cannot" means something.
        own / "tree" / "ameide.yaml",
    ]
    paths.write_text(json.dumps([str(path) for path in wanted]))
    paths.chmod(0o644)
    holds["coder"].release()
    report = own / "tmp" / "report.json"
    wait_for(report.exists, "the coder's probe")
    holds["probed"].reached(made, first)
    uids = {"coder": report.stat().st_uid, "verify": verify.uids().real}
    return Sight(made, environments, connections, uids, json.loads(report.read_text()))


def peer(address: Any) -> str:
    """``host:port`` of one end of a connection."""
    return f"{address.ip}:{address.port}"


def executors(installation: Installation) -> dict[str, psutil.Process]:
    """The supervisor and its two children."""
    supervisor = psutil.Process(installation.pid_of("executor"))
    children = {process.cmdline()[-1]: process for process in supervisor.children()}
    assert set(children) == {"author", "verifier"}
    return {"supervisor": supervisor, **children}


def secret_files(installation: Installation) -> list[Path]:
    """Every file that holds a token or a password."""
    state = installation.state_dir
    return [
        *(state / "tokens").iterdir(),
        *(state / "run").glob("*.toml"),
        *state.rglob("secrets.json"),
        state / "engine" / "temporal" / "settings.yaml",
    ]


def secrets(installation: Installation) -> dict[str, str]:
    """Every token and every password of the installation, by name."""
    found = {file.name: file.read_text().strip() for file in (installation.state_dir / "tokens").iterdir()}
    for file in installation.state_dir.rglob("secrets.json"):
        found |= cast("dict[str, str]", json.loads(file.read_text()))
    return found


def test_an_executor_holds_no_secret_but_its_own_token(sight: Sight) -> None:
    own = {"supervisor": set[str](), "author": {"author"}, "verifier": {"verifier"}}
    known = secrets(sight.installation)
    assert {"author", "verifier", "process", "ameide_app", "postgres"} <= known.keys()
    for name, allowed in own.items():
        environment = sight.environments[name]
        text = "\n".join(f"{key}={value}" for key, value in environment.items())
        assert {secret for secret, value in known.items() if value in text} == allowed, name
        assert not [key for key in environment if any(part in key.upper() for part in FOREIGN)], name
        assert "postgresql://" not in text, name


def test_an_executor_speaks_to_the_domain_alone(sight: Sight) -> None:
    address: str = json.loads((sight.installation.state_dir / "run" / "address.json").read_text())["address"]
    for name in ("author", "verifier"):
        assert sight.connections[name] == {address.removeprefix("http://")}, name
    assert sight.connections["supervisor"] == set()


def test_the_coder_has_its_allowlist_and_nothing_else(sight: Sight) -> None:
    assert set(sight.environments["coder"]) - SHELL == CODER


def test_verify_also_has_the_operators_settings(sight: Sight) -> None:
    environment = sight.environments["verify"]
    # The way out is ours, and goes on by the operator's proxy.
    proxy = proxies(Profile.VERIFY)
    assert (OPERATOR | proxy).items() <= environment.items()
    assert not [key for key in environment if key.startswith("AMEIDE_") and key != "AMEIDE_WORKSPACE"]
    values = set(secrets(sight.installation).values())
    assert not values & set(environment.values())


def test_the_coder_is_nobody_here(sight: Sight) -> None:
    assert sight.probe["uid"] == sight.uids["coder"]
    if os.geteuid() == 0:
        assert 0 not in sight.uids.values()
        assert sight.uids["coder"] != sight.uids["verify"]


def test_the_coder_reads_its_own_tree_and_nothing_of_the_installation(sight: Sight) -> None:
    own = Path(sight.environments["coder"]["AMEIDE_WORKSPACE"])
    looked = {path: said for path, said in sight.probe.items() if path != "uid"}
    assert looked.pop(str(own / "tree" / "ameide.yaml")) == "1 read"
    if os.geteuid() == 0:
        # As an ordinary user there is one account only, and files of one account are not kept from it.
        assert {path: said for path, said in looked.items() if said != "FileNotFoundError"} == {}


def test_the_files_with_secrets_are_their_owners_alone(sight: Sight) -> None:
    files = secret_files(sight.installation)
    assert len(files) > len(("tokens", "settings", "secrets"))
    assert {str(file): oct(stat.S_IMODE(file.stat().st_mode)) for file in files if file.stat().st_mode & 0o177} == {}
