"""`ameide mcp`: the control plane for Codex, an IDE or another agent that starts a program."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import click

from ameide.cli.session import Session, pass_session


@click.command()
@pass_session
def mcp(session: Session) -> None:
    """Serve the Model Context Protocol on standard input and output, by this session's token.

    For a client that starts it, such as Codex; it ends when its input ends. The token says which tools there are and
    what they may: make one with `ameide token create NAME --scope read --scope propose`. Clients that speak HTTP need
    no program: the Architect agent serves the same at /mcp.

    The agent is not shown the token, but one with these scopes that is made from it; where AMEIDE_TOKEN and
    AMEIDE_ARCHITECT_ADDRESS are set it takes AMEIDE_ADDRESS, too.
    """
    address, bearer = session.architect_address(), _bearer(session)
    # Imported here: the protocol's library takes longer to load than the other verbs need to start.
    from ameide.architect.mcp.bridge import serve

    # What reads standard input waits in a thread that nothing wakes. There is nothing to clear away.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(address, bearer))


def _bearer(session: Session) -> Callable[[], Awaitable[str]]:
    """What gives the token for each request."""
    from ameide.rpc import scopes
    from ameide.rpc.delegating import Narrowed

    token, given = session.token(), session.settings
    if given.token and given.architect_address and not given.address:
        # A Domain that the state folder knows need not be that of the agent; it is not to see the token.
        async def as_it_is() -> str:
            return token

        return as_it_is
    return Narrowed(session.address(), token, scopes.ALL).token
