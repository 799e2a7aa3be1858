"""The coder `command`.

Any program of the operator. It reads the prompt on standard input and changes the working tree, or answers.
"""

from __future__ import annotations

from pathlib import Path

from ameide.infra.coders.port import CoderReport, CoderTask
from ameide.infra.isolation.system import reachable
from ameide.infra.settings import UnprivilegedUser
from ameide.infra.steps import Profile, Reach, StepContext, StepFailed
from ameide.infra.workspace import WorkspaceRefused
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

_LONGEST = 4 << 20


class Command:
    """Runs the executor's AMEIDE_CODER_COMMAND in the working tree.

    It may read the files that the command line names by their whole path, and reaches AMEIDE_CODER_HOSTS. The prompt is
    also in the file that AMEIDE_PROMPT_FILE names; ``{prompt_file}`` and ``{workspace}`` in the command
    line are replaced; AMEIDE_ITERATION and AMEIDE_WORK_REQUEST_ID tell which try it is. Asked for an analysis, it finds
    in AMEIDE_ANSWER_FILE where its answer goes; without that file its output is the answer.
    """

    async def prepare(self, ctx: StepContext) -> None:
        """It needs nothing before the checkout."""

    async def run(self, task: CoderTask) -> CoderReport:
        """Run the program as the work's user; another exit code than 0 is a failure."""
        template = task.settings.coder_command
        if not template:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                "command: AMEIDE_CODER_COMMAND is not set on this executor. Set it to the coder's command line, "
                "or choose"
                " another coder in the policy.",
            )
        file = task.workspace.write_for_child("prompt.md", task.prompt.encode())
        places = {"{prompt_file}": str(file), "{workspace}": str(task.workspace.tree)}
        argv = tuple(_filled(argument, places) for argument in template)
        environment = {
            "AMEIDE_PROMPT_FILE": str(file),
            "AMEIDE_ITERATION": str(task.iteration),
            "AMEIDE_WORK_REQUEST_ID": task.work.work_request_id,
        }
        answer = task.workspace.out / "answer.md"
        if task.read_only:
            environment["AMEIDE_ANSWER_FILE"] = str(answer)
        result = await task.run(
            argv,
            cwd=task.workspace.tree,
            env=environment,
            profile=Profile.CODER,
            stdin=task.prompt.encode(),
            reach=Reach(readable=_files(template, task.settings.user)),
        )
        if result.exit_code:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"command: {argv[0]} ended with exit code {result.exit_code}: {result.output_tail.strip()[-1500:]}",
                exit_code=result.exit_code,
            )
        return CoderReport(
            "command",
            "",
            argv,
            result,
            f"{argv[0]} ended well.",
            transcripts=(("coder.log", result.log),),
            answer=_answer(task, answer, result.log) if task.read_only else "",
        )


def _answer(task: CoderTask, file: Path, log: Path) -> str:
    for place in (file, log):
        try:
            return task.workspace.read_file(place, _LONGEST).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        except WorkspaceRefused as error:
            raise StepFailed(FailureCode.TOOL_FAILED, f"command: its answer cannot be taken: {error}") from error
    return ""


def _files(template: tuple[str, ...], user: UnprivilegedUser | None) -> tuple[Path, ...]:
    """Files that the operator's command line names, such as the program itself: the coder may read them."""
    named = (Path(argument) for argument in template if argument.startswith("/"))
    return tuple(path for path in named if path.is_file() and reachable(path, user))


def _filled(argument: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        argument = argument.replace(place, value)
    return argument
