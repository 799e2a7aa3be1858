"""A webhook that is signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from ameide.delivery.notify.notice import Notice, NotSent
from ameide.errors import InvalidArgument

_PREFIX = "whsec_"
_TIMEOUT = 10.0
_LATER = frozenset({408, 425, 429})


class Webhook:
    """Posts notices to a URL, signed with a secret: ``whsec_`` and base64, or any text. `clock` gives Unix seconds."""

    def __init__(self, url: str, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._url, self._key, self._clock = url, key_of(secret), clock
        self._host = _host_of(url)

    async def send(self, notice: Notice) -> None:
        """Raises `NotSent`; redirects are not followed, and nothing of the answer but its status is looked at."""
        sent_at = str(int(self._clock()))
        headers = {
            "content-type": "application/json",
            "user-agent": "ameide",
            "webhook-id": notice.id,
            "webhook-timestamp": sent_at,
            "webhook-signature": signature(self._key, notice, sent_at),
        }
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream("POST", self._url, content=notice.body, headers=headers) as answer,
            ):
                status = answer.status_code
        except httpx.HTTPError as error:
            # Its text may name the URL, which may hold a token.
            raise NotSent(f"{self._host} did not answer ({type(error).__name__})") from error
        if not 200 <= status < 300:
            retry = status >= 500 or status in _LATER
            raise NotSent(f"{self._host} answered {status}; look at AMEIDE_NOTIFY_WEBHOOK_URL there", retry=retry)


def signature(key: bytes, notice: Notice, sent_at: str) -> str:
    """``v1,`` and the HMAC-SHA256 of id, timestamp (Unix seconds) and body, in base64."""
    signed = f"{notice.id}.{sent_at}.".encode() + notice.body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def _host_of(url: str) -> str:
    # Looked at as a whole now: what is no URL would fail each notice, with an error that says nothing of settings.
    try:
        parts, whole = urlsplit(url), httpx.URL(url)
        host = parts.hostname if parts.scheme in ("http", "https") and whole.host else None
    except (ValueError, httpx.InvalidURL):
        host = None
    if host:
        return host
    raise InvalidArgument(
        "is no http or https URL", field="AMEIDE_NOTIFY_WEBHOOK_URL", remedy="Name the receiver's URL"
    )


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises InvalidArgument for none, and for one that is cut."""
    field = "AMEIDE_NOTIFY_WEBHOOK_SECRET"
    if not secret:
        raise InvalidArgument(
            "is not set", field=field, remedy="Agree on one with the receiver: `openssl rand -base64 32`"
        )
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise InvalidArgument("is no base64 after whsec_", field=field, remedy="Copy it whole") from error
