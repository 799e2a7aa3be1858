"""`ameide mcp`: the control plane for Codex, an IDE or another agent that starts a program."""

from __future__ import annotations

import asyncio
import signal

import click

from ameide.cli.session import Session, pass_session


@click.command()
@pass_session
def mcp(session: Session) -> None:
    """Serve the Model Context Protocol on standard input and output, by this session's token.

    For a client that starts it, such as Codex; it ends when its input ends. The token says which tools there are and
    what they may: make one with `ameide token create NAME --scope read --scope propose`. Clients that speak HTTP need
    no program: the Architect agent serves the same at /mcp.
    """
    address, token = session.architect_address(), session.token()
    # Imported here: the protocol's library takes longer to load than the other verbs need to start.
    from ameide.architect.mcp.bridge import serve

    # What reads standard input waits in a thread that nothing wakes. There is nothing to clear away.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(address, token))
