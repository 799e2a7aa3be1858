"""An issue of GitHub, GitLab or Gitea as a requirement. Its text is data: nothing in it is followed or obeyed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx

from ameide.cli.requirement import FORGES, parse
from ameide.errors import (
    AmeideError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refused,
    Unauthenticated,
    Unreachable,
)
from ameide_core_proto.transformation.knowledge.v1.artifact_pb import ArtifactContent

_TIMEOUT = 20.0
_MOST = 1 << 20
_FIELD = "--from"


@dataclass(frozen=True)
class Issue:
    """Where an issue is read: `url` as people open it, `api` as programs do."""

    forge: str
    url: str
    api: str


def issue_at(url: str, forge: str = "") -> Issue:
    """The issue behind a URL. Without `forge` the URL tells: `/-/issues/` is GitLab's, github.com is GitHub's.

    Raises InvalidArgument for a URL of no issue, or one that carries a credential.
    """
    try:
        parts = urlsplit(url)
        # Read here: a port that is none is told only then.
        placed = parts.port is None or parts.port > 0
    except ValueError:
        parts, placed = urlsplit(""), False
    if parts.username or parts.password:
        raise InvalidArgument(
            "the URL carries a credential", field=_FIELD, remedy="Leave it out, and name one with --issue-credential"
        )
    host, path = parts.netloc, parts.path.strip("/")
    found = forge or ("gitlab" if "/-/issues/" in parts.path else "github" if host == "github.com" else "gitea")
    project, _, number = path.partition("/-/issues/") if found == "gitlab" else path.rpartition("/issues/")
    names = project.split("/")
    plain = placed and number.isascii() and number.isdigit() and all(names)
    plain = plain and parts.scheme in ("http", "https") and host
    if not plain or (found != "gitlab" and len(names) != 2) or ".." in names:
        raise InvalidArgument(
            "names no issue",
            field=_FIELD,
            remedy="Give its URL as the browser shows it, e.g. https://HOST/OWNER/REPOSITORY/issues/7, a file, or -",
        )
    shown = f"{parts.scheme}://{host}/{path}"
    match found:
        case "gitlab":
            api = f"{parts.scheme}://{host}/api/v4/projects/{quote(project, safe='')}/issues/{number}"
        case "github":
            base = "https://api.github.com" if host == "github.com" else f"{parts.scheme}://{host}/api/v3"
            api = f"{base}/repos/{quote(project)}/issues/{number}"
        case _:
            api = f"{parts.scheme}://{host}/api/v1/repos/{quote(project)}/issues/{number}"
    return Issue(found, shown, api)


async def requirement_of(issue: Issue, token: str) -> ArtifactContent:
    """The issue's title, text and criteria, with its URL as source. `token` may be empty.

    Raises NotFound, Unauthenticated, PermissionDenied, Refused for a rate limit and for what is no issue, Unreachable.
    """
    status, headers, body = await _get(issue, token)
    if status != 200:
        raise _refused(issue, status, headers, authenticated=bool(token))
    try:
        said = json.loads(body)
    except ValueError as error:
        raise Refused(
            f"{urlsplit(issue.api).hostname} answered no JSON",
            field=_FIELD,
            remedy="Say with --forge which forge it is: " + ", ".join(FORGES),
        ) from error
    found = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    title, text = found.get("title"), found.get("description" if issue.forge == "gitlab" else "body") or ""
    if not isinstance(title, str) or not isinstance(text, str):
        raise Refused("the answer is no issue", field=_FIELD, remedy="Say with --forge which forge it is")
    if found.get("pull_request"):
        raise Refused("it is a pull request", field=_FIELD, remedy="Name an issue")
    content = parse(text.replace("\0", ""), title.strip())
    content.source = issue.url
    return content


async def _get(issue: Issue, token: str) -> tuple[int, Mapping[str, str], bytes]:
    try:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client,
            client.stream("GET", issue.api, headers=_headers(issue.forge, token)) as answer,
        ):
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _MOST:
                    raise Refused(f"the issue has more than {_MOST} bytes", field=_FIELD, remedy="Write a requirement")
            return answer.status_code, answer.headers, body
    except httpx.HTTPError as error:
        raise Unreachable(
            f"{urlsplit(issue.api).hostname} does not answer ({type(error).__name__})",
            field=_FIELD,
            remedy="Try again later, or save the issue's text to a file",
        ) from error


def _headers(forge: str, token: str) -> dict[str, str]:
    headers = {"accept": "application/json", "user-agent": "ameide"}
    if forge == "github":
        headers |= {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    if token:
        headers |= {
            "github": {"authorization": f"Bearer {token}"},
            "gitlab": {"private-token": token},
            "gitea": {"authorization": f"token {token}"},
        }[forge]
    return headers


def _refused(issue: Issue, status: int, headers: Mapping[str, str], *, authenticated: bool) -> AmeideError:
    host = urlsplit(issue.api).hostname
    name = "Name a credential that may read it with --issue-credential"
    left = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", ""))
    if status == 429 or (status == 403 and left == "0"):
        return Refused(
            f"{host} answers no more for now: its rate limit is used up",
            field=_FIELD,
            remedy=_when(headers) + ("" if authenticated else f". {name}: who is known may ask more"),
        )
    match status:
        case 401:
            return Unauthenticated(f"{host} does not accept the credential", field=_FIELD, remedy=name)
        case 403:
            return PermissionDenied(f"{host} does not let this credential read the issue", field=_FIELD, remedy=name)
        case 404 | 410:
            remedy = "Correct the URL" + (
                "" if authenticated else f". A private one looks the same: {name[0].lower()}{name[1:]}"
            )
            return NotFound(f"{host} has no such issue, or does not show it", field=_FIELD, remedy=remedy)
        case 301 | 302 | 307 | 308:
            return NotFound(
                "the issue or its repository has moved", field=_FIELD, remedy="Open it, and give its new URL"
            )
        case _ if status >= 500:
            return Unreachable(f"{host} answered {status}", field=_FIELD, remedy="Try again later")
        case _:
            return Refused(
                f"{host} answered {status}",
                field=_FIELD,
                remedy="Say with --forge which forge it is: " + ", ".join(FORGES),
            )


def _when(headers: Mapping[str, str]) -> str:
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
    if after.isdigit():
        return f"Try again in {int(after)} s"
    if reset.isdigit() and len(reset) < 12:
        return f"Try again at {datetime.fromtimestamp(int(reset), UTC):%H:%M} UTC"
    return "Try again later"
