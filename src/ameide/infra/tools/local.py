"""`ameide scaffold | generate | verify` in a person's own folder: the same commands and verdicts as a tool run.

Without an executor.

Here `ameide.yaml` is read from the folder and commands run as the person, with the person's environment: whoever can
run this can run those commands anyway. Nothing is committed or pushed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from ameide.infra.repo_config import ConfigError, FolderTree, RepoConfig, configuration
from ameide.infra.steps import Profile, StepFailed
from ameide.infra.tools.commands import run_all
from ameide.infra.tools.generated import CHECK, drift, drift_finding, snapshot
from ameide.infra.tools.local_run import LocalRun
from ameide.infra.tools.repository import TOOL_ENVIRONMENT, Checkout
from ameide.infra.tools.scaffold import CHANGE_ID, REQUIREMENT_FILE
from ameide.infra.tools.suite import run_suite, suite_of
from ameide_core_proto.transformation.work.v1.work_pb import CheckResult, CheckStatus, FailureCode, Finding

GREEN, RED, BAD_CONFIG = 0, 1, 2


class Verb(StrEnum):
    """What can be done in a folder."""

    SCAFFOLD = "scaffold"
    GENERATE = "generate"
    VERIFY = "verify"


@dataclass(frozen=True)
class LocalReport:
    """How it went. `exit_code`: 0 done or green, 1 red, 2 the configuration is malformed.

    `changed` are paths that were written.
    """

    verb: Verb
    exit_code: int
    summary: str
    findings: Sequence[Finding] = ()
    checks: Sequence[CheckResult] = ()
    changed: Sequence[str] = ()
    detected: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "verb": self.verb.value,
            "ok": self.exit_code == GREEN,
            "exit_code": self.exit_code,
            "summary": self.summary,
            "findings": [json.loads(finding.to_json()) for finding in self.findings],
            "checks": [json.loads(check.to_json()) for check in self.checks],
            "changed": list(self.changed),
            "detected": self.detected,
        }


async def run_locally(
    verb: Verb,
    folder: Path,
    *,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    suite: str = "",
    requirement: Path | None = None,
) -> LocalReport:
    """Do it in `folder`. `environment` is the commands'; `say` gets their output line by line.

    `requirement` is scaffold's JSON file (absolute).

    Never raises for what the repository does wrong: that is in the report.
    """
    try:
        config = await configuration(FolderTree(folder))
    except ConfigError as error:
        return LocalReport(verb, BAD_CONFIG, str(error))
    with tempfile.TemporaryDirectory(prefix="ameide-") as logs:
        run = LocalRun(_with_our_tools(environment), say, Path(logs))
        checkout = Checkout(folder, run, say, _read, TOOL_ENVIRONMENT)
        try:
            match verb:
                case Verb.SCAFFOLD:
                    return await _scaffold(checkout, config, requirement)
                case Verb.GENERATE:
                    return await _generate(checkout, config)
                case Verb.VERIFY:
                    return await _verify(checkout, config, suite)
        except StepFailed as failure:
            bad = failure.code is FailureCode.TOOL_FAILED and failure.exit_code == BAD_CONFIG
            return LocalReport(
                verb, BAD_CONFIG if bad else RED, failure.summary, failure.findings, detected=config.detected
            )


async def _scaffold(checkout: Checkout, config: RepoConfig, requirement: Path | None) -> LocalReport:
    if not config.scaffold:
        return LocalReport(Verb.SCAFFOLD, GREEN, "The repository has nothing to scaffold.")
    env: dict[str, str] = {}
    if requirement is not None:
        try:
            change_id = cast(str, json.loads(_read(requirement))["change_id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = (
                f"{requirement}: no requirement ({error}). Write JSON with change_id, title, text, acceptance_criteria."
            )
            return LocalReport(Verb.SCAFFOLD, BAD_CONFIG, what)
        env = {REQUIREMENT_FILE: str(requirement), CHANGE_ID: change_id}
    failed = await run_all(checkout, config.scaffold, profile=Profile.TOOL, env=env)
    if failed is not None:
        return LocalReport(Verb.SCAFFOLD, RED, f"ameide.yaml scaffold.run: {failed}")
    return LocalReport(Verb.SCAFFOLD, GREEN, "Scaffolded.")


async def _generate(checkout: Checkout, config: RepoConfig) -> LocalReport:
    if config.generate is None:
        return LocalReport(Verb.GENERATE, GREEN, "The repository generates nothing.", detected=config.detected)
    before = await snapshot(checkout.root, config.generate)
    changed = await drift(checkout, config.generate, clean=False)
    summary = f"Generated; {len(changed)} of {len(before) or len(changed)} files changed."
    return LocalReport(Verb.GENERATE, GREEN, summary, changed=changed)


async def _verify(checkout: Checkout, config: RepoConfig, suite_name: str) -> LocalReport:
    suite = suite_of(config, suite_name)
    findings: list[Finding] = []
    checks: list[CheckResult] = []
    changed: list[str] = []
    if config.generate is not None:
        changed = await drift(checkout, config.generate, clean=False)
        checks.append(
            CheckResult(
                id=CHECK, status=CheckStatus.FAILED if changed else CheckStatus.PASSED, message=", ".join(changed)
            )
        )
        findings += [drift_finding(changed)] if changed else []
    report = await run_suite(checkout, config, suite, await FolderTree(checkout.root).paths())
    findings += report.findings
    red = bool(findings)
    summary = report.summary + (
        f" Generated code was out of date and was written again: {', '.join(changed[:10])}." if changed else ""
    )
    return LocalReport(
        Verb.VERIFY,
        RED if red else GREEN,
        summary,
        [*findings, *report.noticed],
        [*checks, *report.checks()],
        changed,
        config.detected,
    )


def _with_our_tools(environment: Mapping[str, str]) -> dict[str, str]:
    """buf, uv and the generators come with ameide: found last, so that the person's own win."""
    path = os.pathsep.join(filter(None, [environment.get("PATH", os.defpath), str(Path(sys.executable).parent)]))
    return {**environment, "PATH": path}


def _read(path: Path) -> bytes:
    return path.read_bytes()
