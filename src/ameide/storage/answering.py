"""What it means for a caller that the database does not answer."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from ameide.errors import Unreachable


@contextmanager
def answering() -> Generator[None]:
    """Errors of connections as Unreachable, for the same may succeed later; those of statements stay what they are."""
    try:
        yield
    except PoolTimeout as error:
        raise Unreachable(
            "no database connection became free in time", remedy="Try again, or raise the pool's size"
        ) from error
    except psycopg.errors.IdleInTransactionSessionTimeout as error:
        raise Unreachable("the database gave up waiting for this process", remedy="Try again") from error
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
        raise Unreachable(
            f"the database server lacks room ({error.diag.message_primary})",
            remedy="Make room on its disk or in its memory; nothing of this call was written. Then try again",
        ) from error
    except psycopg.OperationalError as error:
        raise Unreachable(f"the database connection failed ({type(error).__name__})", remedy="Try again") from error
