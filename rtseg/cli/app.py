"""The verbs of `rtseg`, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from rtseg.cli import bench, build, doctor, eval, models, run, train


def _version(wanted: bool) -> None:
    if wanted:
        from rtseg.stats import package_version

        typer.echo(f"rtseg {package_version('rtseg') or '(not installed)'}")
        raise typer.Exit


app = typer.Typer(
    name="rtseg",
    help="Real-time video segmentation: camera or video in, segmented and composited video out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help: half the start time, and readable on 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Real-time video segmentation: camera or video in, segmented and composited video out."""


app.command("run", no_args_is_help=True)(run.command)
app.command("eval", no_args_is_help=True)(eval.command)
app.command("train", no_args_is_help=True)(train.command)
app.command("build", no_args_is_help=True)(build.command)
app.command("models")(models.command)
app.command("doctor")(doctor.command)
app.command("bench")(bench.command)


def invoke(words: Sequence[str]) -> int:
    """Run the verb that the words name and return the exit code; rtseg's own errors pass through."""
    try:
        app(list(words), prog_name="rtseg")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0
