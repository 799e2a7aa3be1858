"""Credentials by reference: what is found, what is refused and why, and what git does with it at real servers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ameide.errors import InvalidArgument
from ameide.infra.credentials import Credentials, Kind
from ameide.infra.git import Git, GitFailed
from tests.infra.git_servers import bare_repository, http_git
from tests.infra.ssh_server import ssh_git

PASSWORD = "correct-horse-battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "credentials"
    made.mkdir(mode=0o700)
    return made


def keep(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


async def opened(folder: Path, url: str, credentials: Credentials, reference: str) -> Git:
    git = Git(folder / "git", folder / "tree", url, credentials.find(reference))
    await git.open()
    return git


async def test_a_password_opens_its_own_server_and_no_other(tmp_path: Path, folder: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    keep(folder / "forge", f"robot:{PASSWORD}\n")
    with http_git(tmp_path / "served") as server:
        git = await opened(tmp_path, server.of(bare), Credentials(folder), "forge")
        await git.fetch()
        head = await git.remote_head("main")
        await git.push_with_lease(head, "agent/one", "")
        assert await git.remote_head("agent/one") == head
        with http_git(tmp_path / "served", redirect_to=server.url) as elsewhere:
            led = await opened(tmp_path, elsewhere.of(bare), Credentials(folder), "forge")
            known = len(server.logins)
            with pytest.raises(GitFailed):
                await led.fetch()
            assert len(server.logins) == known, "a redirect got the password of another host"


async def test_an_exchanged_password_counts_at_once(tmp_path: Path, folder: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    credentials = Credentials(folder)
    keep(folder / "forge", "robot:of-yesterday")
    with http_git(tmp_path / "served") as server:
        with pytest.raises(GitFailed, match="Authentication failed"):
            await (await opened(tmp_path, server.of(bare), credentials, "forge")).fetch()
        keep(folder / "forge", f"robot:{PASSWORD}")
        await (await opened(tmp_path, server.of(bare), credentials, "forge")).fetch()
    assert PASSWORD in credentials.secrets()
    assert "of-yesterday" not in credentials.secrets()


async def test_an_askpass_program_is_asked_for_that_host(tmp_path: Path, folder: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    asked = tmp_path / "asked"
    words = f'echo "$1" >> {asked}; case "$1" in Username*) echo robot;; *) echo {PASSWORD};; esac'
    keep(folder / "forge.askpass", f"#!/bin/sh\n{words}\n", 0o700)
    with http_git(tmp_path / "served") as server:
        git = await opened(tmp_path, server.of(bare), Credentials(folder), "forge")
        await git.fetch()
        assert asked.read_text().splitlines() == [
            f"Username for '{server.url}': ",
            f"Password for '{server.url.replace('://', '://robot@')}': ",
        ]


async def test_a_variable_holds_a_token(tmp_path: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    credentials = Credentials(None, {"GIT_TOKEN": f"robot:{PASSWORD}"})
    with http_git(tmp_path / "served") as server:
        await (await opened(tmp_path, server.of(bare), credentials, "env:GIT_TOKEN")).fetch()
    with pytest.raises(InvalidArgument, match="AMEIDE_CREDENTIAL_VARIABLES"):
        credentials.find("env:PATH")


async def test_an_ssh_key_opens_a_host_that_is_known(tmp_path: Path, folder: Path) -> None:
    bare = bare_repository(tmp_path / "served")
    credentials = Credentials(folder)
    with ssh_git(tmp_path / "served") as server:
        keep(folder / "forge", server.private_key)
        hosts = keep(folder / "forge.known_hosts", server.known_hosts)
        git = await opened(tmp_path, server.of(bare), credentials, "forge")
        await git.fetch()
        await git.push_with_lease(await git.remote_head("main"), "agent/one", "")
        assert [command.split()[0] for command in server.commands][-1] == "git-receive-pack"
        assert not list((tmp_path / "git").glob("*key*")), "the key stayed in the git folder"
        with ssh_git(tmp_path / "served") as impostor:
            hosts.write_text(impostor.known_hosts.replace(str(impostor.port), str(server.port)))
        with pytest.raises(GitFailed, match="Host key verification failed"):
            await (await opened(tmp_path, server.of(bare), credentials, "forge")).fetch()
    assert all(line in credentials.secrets() for line in server.private_key.splitlines()[1:3])


def test_each_kind_is_known_by_its_name_or_its_shape(folder: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "deploy.key"], check=True)
    keep(folder / "token", "ghp_0123456789abcdefghij\n")
    keep(folder / "login", "ada:pass:word")
    found = {name: Credentials(folder).find(name) for name in ("deploy", "token", "login")}
    assert {name: one.kind for name, one in found.items()} == {
        "deploy": Kind.KEY,
        "token": Kind.PASSWORD,
        "login": Kind.PASSWORD,
    }
    assert (found["token"].user, found["token"].secret) == ("", "ghp_0123456789abcdefghij")
    assert "ghp_" not in repr(found)


@pytest.mark.parametrize(
    ("files", "mode", "complaint"),
    [
        ({}, 0o600, r"this executor knows no credential 'forge'\. Put `user:password`"),
        ({"forge": "ada:secret-word"}, 0o644, r"is open to others \(mode 0644\)\. `chmod 600 "),
        ({"forge": "a:b-secret", "forge.key": "x"}, 0o600, "are there together"),
        ({"forge": "\n"}, 0o600, "is empty"),
        ({"forge.key": "ssh-ed25519 AAAA ada@example.org"}, 0o600, "holds no private SSH key"),
        ({"forge.askpass": "#!/bin/sh\n"}, 0o600, "is not executable"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(
    folder: Path, files: dict[str, str], mode: int, complaint: str
) -> None:
    for name, text in files.items():
        keep(folder / name, text, mode)
    with pytest.raises(InvalidArgument, match=complaint) as refused:
        Credentials(folder).find("forge")
    assert "secret" not in str(refused.value)


def test_a_key_with_a_passphrase_is_refused(folder: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "locked", "-f", folder / "forge"], check=True)
    with pytest.raises(InvalidArgument, match="locked by a passphrase"):
        Credentials(folder).find("forge")


@pytest.mark.parametrize("reference", ["../secrets.json", "a/b", "forge.known_hosts"])
def test_a_reference_leads_nowhere_else(folder: Path, reference: str) -> None:
    with pytest.raises(InvalidArgument, match="is no name of a credential"):
        Credentials(folder).find(reference)


async def test_a_credential_of_the_wrong_kind_is_named(tmp_path: Path, folder: Path) -> None:
    keep(folder / "forge", "robot:secret-word")
    git = await opened(tmp_path, "ssh://git@127.0.0.1:9/x.git", Credentials(folder), "forge")
    with pytest.raises(GitFailed, match="ssh takes a private SSH key"):
        await git.fetch()
