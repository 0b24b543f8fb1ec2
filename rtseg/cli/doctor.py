"""`rtseg doctor`: what is installed, what works, and the command that mends what does not."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Say what is installed, which backends work and why not, and the exact command that mends it."""
    from rtseg.cli.checkup import checkup_text

    del debug
    text, healthy = checkup_text(as_json=as_json)
    typer.echo(text)
    raise typer.Exit(0 if healthy else 1)
