"""The verbs of `rtseg`, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

_NEEDS_ARGUMENTS: Final = frozenset({"run", "eval", "train", "build"})
"""Verbs that show their help when nothing follows them."""
VERBS: Final = {
    "run": "Segment video and composite it: files, cameras, streams, screens.",
    "serve": "Serve a page with live effects, uploads and streams.",
    "eval": "Score a model on labelled pictures, or its calm on a video.",
    "train": "Train from a recipe, or fine-tune a bundle on your pictures.",
    "build": "Build an int8, fp16 or TensorRT file; kept if it agrees.",
    "models": "List models, show a card, list built engines.",
    "doctor": "Say what is installed here, and what works and why not.",
    "bench": "Measure speed and latency against the bare engine.",
}
"""What each does, in the order of the help; a line each on 80 columns. `rtseg.cli.VERB` is the file of each."""


def _version(wanted: bool) -> None:
    if wanted:
        from rtseg.stats import package_version

        typer.echo(f"rtseg {package_version('rtseg') or '(not installed)'}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Real-time video segmentation: camera or video in, segmented and composited video out."""


def app_for(words: Sequence[str]) -> typer.Typer:
    """Return the command with the verb that the words begin with; else with all of them by name and summary only.

    Working out the options of every verb, which a list of verbs does not show, would take 60 ms.
    """
    app = typer.Typer(
        name="rtseg",
        help="Real-time video segmentation: camera or video in, segmented and composited video out.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,  # plain help: half the start time, and readable on 80 columns
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    if words and words[0] in VERBS:
        command = import_module(f"rtseg.cli.{words[0]}").command
        app.command(words[0], no_args_is_help=words[0] in _NEEDS_ARGUMENTS)(command)
        return app
    for verb, summary in VERBS.items():
        app.command(verb, short_help=summary)(_only_listed)
    return app


def _only_listed() -> None:
    """Stand for a verb in the list of verbs."""


def invoke(words: Sequence[str]) -> int:
    """Run the verb that the words name and return the exit code; rtseg's own errors pass through."""
    try:
        app_for(words)(list(words), prog_name="rtseg")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0
