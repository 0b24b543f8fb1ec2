"""`rtseg train`: train a network from a recipe, or fine-tune a bundle on a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA_HELP = (
    "With --from: a folder with images/ and labels/ (ids, colours, masks or mattes); others as rtseg eval reads."
)
CLASSES_HELP = (
    "With --from: what the ids mean: a,b,c in order, a .toml or .txt file, or a taxonomy's name. Default: classes.toml "
    "or classes.txt in the folder, else the bundle's own classes."
)


def command(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe; with --resume it may be left out.", metavar="RECIPE.toml")
    ] = None,
    base: Annotated[str | None, typer.Option("--from", metavar="BUNDLE", help="Fine-tune this bundle instead.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help=DATA_HELP)] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FOLDER", help="The run's folder; with --from the new bundle's."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: schedule.rate=1e-3, set.camvid.share=2 …"),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes, resumed parts included.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps instead: repeatable to the bit.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Threads that compute on a CPU; 0: torch's choice.")] = 0,
    replicas: Annotated[
        int, typer.Option(min=1, help="Parts of each batch computed at once on a CPU, each by its own --threads.")
    ] = 1,
    loader_threads: Annotated[int, typer.Option(min=0, help="Threads that build batches; 0: by the cores.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Train a network from a recipe, or with --from BUNDLE --data FOLDER fine-tune a bundle."""
    from rtseg.cli.training import TrainRequest, train

    del debug  # read by main(), which decides how an error is shown
    request = TrainRequest(
        recipe=recipe,
        base=base,
        data=data,
        classes=classes,
        out=out,
        changes=tuple(changes or ()),
        minutes=minutes,
        steps=steps,
        device=device,
        threads=threads,
        replicas=replicas,
        loader_threads=loader_threads,
        resume=resume,
        quiet=quiet,
    )
    raise typer.Exit(train(request))
