"""`rtseg models`: the bundles that ship, the card of one, and the engines that were built of them."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Show this bundle's card: a name, a folder or .onnx file.")
    ] = None,
    engines: Annotated[
        bool, typer.Option("--engines", help="List the engines in the cache, built by rtseg build --backend.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="With --engines: remove the broken ones and those of versions not in use here."),
    ] = False,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="With --prune: also those not used for so long.")
    ] = None,
    keep_mb: Annotated[
        float | None, typer.Option(metavar="MB", min=0, help="With --prune: keep the latest used, up to so much.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="With --prune: remove all of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """List the models that ship with rtseg, show the card of one, or list and remove built engines."""
    from rtseg.cli.cards import card_text, cards_table
    from rtseg.cli.engine_list import EngineListWords, check_words, engines_text

    del debug
    words = EngineListWords(
        engines=engines, prune=prune, older_than_days=older_than, keep_mb=keep_mb, every=every, as_json=as_json
    )
    check_words(words, name)
    if engines:
        typer.echo(engines_text(words))
    else:
        typer.echo(cards_table(as_json=as_json) if name is None else card_text(name, as_json=as_json))
