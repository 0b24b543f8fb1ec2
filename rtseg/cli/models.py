"""`rtseg models`: the bundles that ship, and the card of one."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Show this bundle's card: a name, a folder or .onnx file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """List the models that ship with rtseg, or show the card of one."""
    from rtseg.cli.cards import card_text, cards_table

    del debug
    typer.echo(cards_table(as_json=as_json) if name is None else card_text(name, as_json=as_json))
