"""`ameide doctor`: can this machine do the work? Each answer is pass or fail, with the remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import click

from ameide.cli.doctor_codex import codex
from ameide.cli.doctor_kafka import kafka
from ameide.cli.doctor_machine import EXECUTOR, MACHINE, Check
from ameide.cli.doctor_services import SERVICES, object_store
from ameide.cli.output import table
from ameide.cli.session import Session, pass_session


@click.command()
@click.option("--executor", "executors", is_flag=True, help="Only what executors need, where nothing else runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@pass_session
def doctor(session: Session, executors: bool, as_json: bool) -> None:
    """Check what the control plane and its executors need on this machine. Exit code 1 when something is missing.

    What `ameide up` has still to start or to make is not missing.
    """
    # Executors outside send their evidence through the Domain's door.
    stores = (object_store,) if session.settings.object_store.startswith("s3://") else ()
    services = stores if executors else SERVICES
    checks = [check(session.settings) for check in (EXECUTOR if executors else MACHINE)]
    checks += [check for service in (codex, *services, kafka) for check in service(session)]
    if as_json:
        click.echo(json.dumps({"checks": [_as_json(check) for check in checks]}, indent=2, ensure_ascii=False))
    else:
        _print(checks)
    raise click.exceptions.Exit(0 if all(check.good for check in checks) else 1)


def _print(checks: Sequence[Check]) -> None:
    table(
        ("", "CHECK", ""),
        [
            (
                click.style("pass", fg="green") if check.good else click.style("FAIL", fg="red"),
                check.name,
                check.said if check.good else f"{check.said}: {check.remedy}",
            )
            for check in checks
        ],
    )


def _as_json(check: Check) -> Mapping[str, object]:
    return asdict(check if not check.good else replace(check, remedy=""))
