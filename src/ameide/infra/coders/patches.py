"""The offline coder.

Applies one patch file an iteration. It asks no model and says so; it is for demonstrations and tests.
"""

from __future__ import annotations

import re
from pathlib import Path

from ameide.infra.coders.port import CoderReport, CoderTask
from ameide.infra.steps import Profile, StepContext, StepFailed
from ameide_core_proto.transformation.work.v1.work_pb import FailureCode

_NUMBERED = re.compile(r"^(\d+)-.*\.patch$")


class Patches:
    """Iteration n applies ``00n-*.patch`` of the folder that the executor's settings name."""

    async def prepare(self, ctx: StepContext) -> None:
        """It needs nothing before the checkout."""

    async def run(self, task: CoderTask) -> CoderReport:
        """Apply this iteration's patch as the work's user."""
        if task.read_only:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                "patches: the offline coder asks no model, so it analyzes nothing. Name another coder in the policy, or"
                " request the analysis as a tool run, which needs none.",
            )
        patch = self._patch(task.settings.coder_patches, task.iteration)
        task.log(f"offline coder: applying {patch.name} (iteration {task.iteration}); no model is asked")
        argv = ("git", "apply", "--verbose", "--whitespace=nowarn", "-")
        result = await task.run(argv, cwd=task.workspace.tree, profile=Profile.CODER, stdin=patch.read_bytes())
        if result.exit_code:
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"patches: {patch.name} does not apply to {task.work.commit_sha or 'the checkout'}:"
                f" {result.output_tail.strip()[-800:]}. Correct the patch for this repository, or choose "
                f"another coder.",
                exit_code=result.exit_code,
            )
        summary = f"The offline coder applied {patch.name}; no model was asked."
        return CoderReport("patches", "1", argv, result, summary, transcripts=(("coder.patch", patch),))

    def _patch(self, folder: Path | None, iteration: int) -> Path:
        if folder is None or not folder.is_dir():
            raise StepFailed(
                FailureCode.TOOL_FAILED,
                f"patches: {folder or 'no folder'} holds no patches. Set AMEIDE_PATCHES_DIR to a folder with "
                f"001-….patch,"
                " or choose another coder in the policy.",
            )
        for file in sorted(folder.iterdir()):
            if (match := _NUMBERED.match(file.name)) and int(match.group(1)) == iteration:
                return file
        raise StepFailed(
            FailureCode.TOOL_FAILED,
            f"patches: there is no {iteration:03d}-*.patch in {folder} for iteration {iteration}. Add it, or "
            f"choose another"
            " coder in the policy.",
        )
