"""A repository's files at a commit: which there are, where a text stands, and their lines."""

from __future__ import annotations

from ameide.architect.records import beginning, lines_record
from ameide.architect.tools.arguments import Arguments, integer, schema, string
from ameide.architect.tools.rendering import MOST_TEXT, clipped
from ameide.architect.tools.repositories import named
from ameide.architect.tools.tool import Tool, ToolAnswer, ToolContext
from ameide_core_proto.transformation.governance.v1.governance_pb import Repository

# A first look fetches the repository.
_SECONDS = 300.0
_FOLDERS = 60
_REPOSITORY = string("Default: the conversation's.", most=63)
_COMMIT = string("40 hex digits, of the default branch's history. Default: its newest commit.", most=40)
_FOLDER = string("Only below this folder.", most=1024)


async def _list(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    repository, commit = await _place(ctx, arguments)
    folder = arguments.text("folder")
    listing = await ctx.repositories.list_files(repository, commit, folder, arguments.text("name"))
    notes = [f"files of {repository.repository_id} at {commit}; cite lines of them once you have read those"]
    lines = list(listing.paths)
    if listing.left_out:
        counted = sorted(listing.folders.items(), key=lambda pair: -pair[1])
        lines += [f"{name} ({count} files)" for name, count in counted[:_FOLDERS]]
        notes.append(f"{listing.left_out} more files; name a folder, or a part of the name")
    if listing.unreadable:
        notes.append(f"{listing.unreadable} links, submodules and names that cannot be told are left out")
    missing = () if lines else (f"a file like that in {repository.repository_id} at {commit}",)
    source = f"{repository.repository_id}@{commit}" if lines else ""
    return ToolAnswer(uncited="\n".join(lines), uncited_from=source, notes=tuple(notes), not_found=missing)


async def _search(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    repository, commit = await _place(ctx, arguments)
    text = arguments.raw("text").strip()
    found = await ctx.repositories.search(repository, commit, text, arguments.text("folder"))
    notes = [f"{repository.repository_id} at {commit}"]
    if found.more:
        notes.append("there are more lines, or some too long to show; search for more of the text, or name a folder")
    missing = () if found.lines else (f"{text!r} in the files of {repository.repository_id} at {commit}",)
    return ToolAnswer(tuple(map(lines_record, found.lines)), notes=tuple(notes), not_found=missing)


async def _read(ctx: ToolContext, arguments: Arguments) -> ToolAnswer:
    repository, commit = await _place(ctx, arguments)
    first, last = max(1, arguments.number("first_line", 1)), arguments.number("last_line")
    read = await ctx.repositories.read(repository, commit, arguments.raw("path"), first, last)
    if (shown := beginning(read, MOST_TEXT)) is None:
        line = read.text.partition("\n")[0]
        notes = (
            f"line {first} has {len(line)} characters; it is not shown whole, so that it cannot be cited",
            f"read on with first_line {first + 1} if there is more",
        )
        return ToolAnswer(uncited=clipped(line, MOST_TEXT), uncited_from=lines_record(read).untrusted, notes=notes)
    notes = (f"that is up to line {shown.last_line}; read on with first_line {shown.last_line + 1} if there is more",)
    return ToolAnswer((lines_record(shown),), notes=notes if not last or shown.last_line < last else ())


async def _place(ctx: ToolContext, arguments: Arguments) -> tuple[Repository, str]:
    repository = await named(ctx, arguments.text("repository_id"))
    return repository, arguments.text("commit_sha") or await ctx.repositories.head(repository)


TOOLS = (
    Tool(
        "list_files",
        "Paths of a repository's files at a commit.",
        schema(
            repository_id=_REPOSITORY,
            commit_sha=_COMMIT,
            folder=_FOLDER,
            name=string("Only paths that hold this, letter case aside.", most=200),
        ),
        _list,
        seconds=_SECONDS,
    ),
    Tool(
        "search_files",
        "Lines of a repository's text files that hold a text, letter case aside, with the lines around them.",
        schema(
            ["text"],
            text=string("Words as they stand there; no pattern.", most=200, least=1),
            repository_id=_REPOSITORY,
            commit_sha=_COMMIT,
            folder=_FOLDER,
        ),
        _search,
        seconds=_SECONDS,
    ),
    Tool(
        "read_file",
        "Lines of one text file at a commit.",
        schema(
            ["path"],
            path=string("From the root of the repository.", most=1024, least=1),
            repository_id=_REPOSITORY,
            commit_sha=_COMMIT,
            first_line=integer("Default: 1.", least=1),
            last_line=integer("Default: as far as the limit allows.", least=1),
        ),
        _read,
        seconds=_SECONDS,
    ),
)
