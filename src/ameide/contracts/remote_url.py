"""Which addresses a repository may have: what git fetches from and pushes to, without a credential in it."""

from __future__ import annotations

import re

from ameide.errors import InvalidArgument

_SCHEMES = ("file", "http", "https", "ssh")
_SECRET_INSIDE = re.compile(r"(?i)^(https?://[^/]*@|[a-z][a-z0-9+.-]*://[^/@]*:[^/]*@)")


def check_url(url: str, field: str) -> None:
    """Raises `InvalidArgument` for an address that cannot be used. Its message does not repeat the address."""
    if _SECRET_INSIDE.match(url):
        raise InvalidArgument(
            "carries a user or a password, which would be recorded with it",
            field=field,
            remedy="Leave them out, put `user:password` or the token into a file of the credentials folder, and name"
            " that file with --credential. A password that stood on a command line should be replaced",
        )
    scheme, found, rest = url.partition("://")
    if found and scheme.lower() not in _SCHEMES:
        raise InvalidArgument(
            f"has the scheme {scheme[:20]!r}",
            field=field,
            remedy=f"Use {', '.join(_SCHEMES)}, user@host:path or a path",
        )
    if found and scheme.lower() in ("http", "https") and re.search(r"[?#]", rest):
        raise InvalidArgument(
            "has a query or a fragment, which git does not send", field=field, remedy="Leave out what follows ? or #"
        )
    if url.startswith("-") or re.match(r"\w+::", url) or re.search(r"[\x00-\x1f\x7f]", url):
        raise InvalidArgument("is no address of a repository", field=field, remedy="Name a URL or an absolute path")
