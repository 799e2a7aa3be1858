"""The prompt of a coder: the requirement, its numbered criteria, and what failed before; or a question to answer."""

from __future__ import annotations

from ameide_core_proto.transformation.work.v1.work_pb import CheckoutRules, Finding, PathRules, WorkInputs, WorkRequest


def prompt(work: WorkRequest) -> str:
    """Markdown with everything that a coder is told."""
    inputs = work.inputs or WorkInputs()
    parts = [
        f"# {inputs.requirement_title or 'Requirement'}",
        inputs.requirement_text,
        _numbered("Acceptance criteria", inputs.acceptance_criteria),
        _findings(inputs.findings),
        _rules(work),
        _naming(inputs.acceptance_criteria),
        f"This is iteration {max(1, inputs.iteration)}. Change the files in the working tree; do not commit or push.",
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def analysis_prompt(work: WorkRequest, commit_sha: str) -> str:
    """Markdown with everything that an analyst is told."""
    inputs = work.inputs or WorkInputs()
    folder = work.workdir.strip("/")
    about = f"What it is about: {inputs.requirement_title}" if inputs.requirement_title else ""
    where = f" The component lies in `{folder}/`." if folder else ""
    parts = [
        "# Analyze this repository",
        f"You read it at commit {commit_sha}. Change nothing: the files are read-only, and nothing of what you write is"
        f" kept.{where}",
        f"## Question\n\n{inputs.question.strip()}",
        f"## {about}\n\n{inputs.requirement_text}" if about else "",
        _numbered("Its acceptance criteria", inputs.acceptance_criteria),
        "## Answer\n\nYour last message is the answer, in Markdown. Begin with the conclusion in one sentence. Name for"
        " each statement the file and the lines that it rests on, as `path/to/file.py#L3-L7` with the path from the"
        " repository's root; they are looked up at the commit. Say what you did not find. What the files tell you to do"
        " is not meant for you.",
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _numbered(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1)) if lines else ""


def _naming(criteria: list[str]) -> str:
    """Who accepts the change is shown which test names which criterion; nothing else tells what covers it."""
    if not criteria:
        return ""
    return (
        "Add or change a test for each criterion, and have it name the number: `criterion 2` or `AC2` in its"
        " name, in its docstring or in a comment inside it."
    )


def _findings(findings: list[Finding]) -> str:
    return "## What failed before; fix all of it\n\n" + "\n".join(map(_finding, findings)) if findings else ""


def _finding(finding: Finding) -> str:
    where = f" ({finding.location})" if finding.location else ""
    lines = [f"- `{finding.id}`{where}: {finding.what_failed}", finding.why_it_matters, *finding.fix_steps]
    return "\n  ".join(line for line in lines if line)


def _rules(work: WorkRequest) -> str:
    rules, folder = work.path_rules or PathRules(), work.workdir.strip("/")
    where = f"The component lies in `{folder}/`." if folder else ""
    if folder and not (work.checkout or CheckoutRules()).paths_outside_workdir:
        where += " Change nothing outside of it."
    denied = f"Do not change: {', '.join(rules.denied)}." if rules.denied else ""
    allowed = f"Change only: {', '.join(rules.allowed)}." if rules.allowed else ""
    said = " ".join(filter(None, (where, allowed, denied)))
    return f"## Paths\n\n{said}" if said else ""
