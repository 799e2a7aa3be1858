"""How an error of the Domain's reaches a workflow."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ameide.errors import AmeideError, PermissionDenied, Unauthenticated


def as_failure(error: AmeideError) -> ApplicationError:
    """How an error reaches the workflow: its type is the refusing rule's code, else the error's name.

    A worker whose token is not valid is a fault of its operator, not of the run: it waits until that is put right.
    """
    wait = error.retry or isinstance(error, Unauthenticated | PermissionDenied)
    return ApplicationError(
        str(error),
        type=error.reason or type(error).__name__,
        non_retryable=not wait,
        # A refusal is an answer that the course reckons with, not a fault to warn about.
        category=ApplicationErrorCategory.UNSPECIFIED if wait else ApplicationErrorCategory.BENIGN,
    )
