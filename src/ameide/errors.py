"""The errors of the control plane, as a tree. The type says whether a caller may try again.

AmeideError
├── InvalidArgument      the request is malformed; names the field
├── Unauthenticated      no token, or one that is unknown, expired or revoked
├── PermissionDenied     the principal's roles do not admit the command
├── NotFound             no such record for this tenant
├── Refused              a rule of the Domain says no; `reason` is its code
├── Conflict             the same key or place already holds something else
├── Fenced               the claim is not the current one any more
├── LimitReached         it is too much at once; ask for less
├── Unreachable          nobody answered; the same call may succeed later   (retry)
└── Internal             a defect or an unexpected fault                    (retry)
"""

from __future__ import annotations

from typing import ClassVar


class AmeideError(Exception):
    """Something that a caller must know. `field` names what was wrong, `remedy` says what to do about it."""

    retry: ClassVar[bool] = False
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, field: str = "", remedy: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        self.reason = reason

    def __str__(self) -> str:
        head = f"{self.field}: {self.message}" if self.field else self.message
        return f"{head.rstrip('.')}. {self.remedy}" if self.remedy else head


class InvalidArgument(AmeideError):
    """The request breaks a rule of its schema. Correct the named field."""

    code = "invalid_argument"


class Unauthenticated(AmeideError):
    """The bearer token is missing or not valid. Set AMEIDE_TOKEN or AMEIDE_TOKEN_FILE."""

    code = "unauthenticated"


class PermissionDenied(AmeideError):
    """The principal lacks a role. Ask an admin to admit it with that role."""

    code = "permission_denied"


class NotFound(AmeideError):
    """No such record in this tenant. Another tenant's record answers the same."""

    code = "not_found"


class Refused(AmeideError):
    """A rule of the Domain refused a well-formed command; `reason` is the rule's code, e.g. GATE_CONSUMED."""

    code = "failed_precondition"


class Conflict(AmeideError):
    """The idempotency key, the version or the outcome is already taken by something else. Read again, then decide."""

    code = "already_exists"


class Fenced(AmeideError):
    """The (attempt, claim_id) pair is not the current claim. Kill the child and write nothing."""

    code = "aborted"


class LimitReached(AmeideError):
    """What was asked for is larger, or takes longer, than is allowed at once. Ask for less."""

    code = "resource_exhausted"


class Unreachable(AmeideError):
    """The service did not answer. Is it running? `ameide status` tells."""

    retry = True
    code = "unavailable"


class Internal(AmeideError):
    """An unexpected fault on the other side; its log has the details under the correlation id."""

    retry = True
    code = "internal"
