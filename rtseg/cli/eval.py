"""`rtseg eval`: score a model on labelled pictures or a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA_HELP = (
    "A labelled set: images/ with labels/, CamVid, Cityscapes, VOC or a COCO panoptic JSON file; with --taxonomy none "
    "a video."
)
TAXONOMY_HELP = (
    "What the labels mean: camvid11, cityscapes19, comma10k5, idd7, matte, person, or a .toml file; none for a video."
)


def command(
    model: Annotated[
        str, typer.Argument(help="Bundle name, bundle folder or .onnx file; a+b averages several.", metavar="MODEL")
    ],
    source: Annotated[str, typer.Argument(help=DATA_HELP, metavar="DATA")],
    taxonomy: Annotated[str, typer.Option("-t", "--taxonomy", help=TAXONOMY_HELP)],
    layout: Annotated[
        str, typer.Option(help="auto, folder, binary, alpha, camvid, cityscapes, voc or coco-panoptic.")
    ] = "auto",
    split: Annotated[str | None, typer.Option(help="train, val …; default: the only one, else val.")] = None,
    names: Annotated[
        str | None,
        typer.Option("--list", metavar="FILE", help="Score these names only: a line each, or FILE.toml:KEY."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Score so many pictures, spread evenly, or so many frames.")
    ] = None,
    sequences: Annotated[
        bool, typer.Option("--sequences", help="DATA is a folder of sets: score each, and their mean.")
    ] = False,
    size: Annotated[str, typer.Option(help="Score at the size of the labels (label) or the network's (network).")] = (
        "label"
    ),
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Also the calibration error of class labels; costs time.")
    ] = False,
    tta: Annotated[
        str | None, typer.Option(metavar="VIEWS", help="Average over views of each picture: flip, scale or flip,scale.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, tensorrt, torch, openvino or fake.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16, bf16 or int8.")] = "auto",
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option("--model-option", metavar="KEY=VALUE", help="A fact about an .onnx file that has no card."),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Score a model on labelled pictures, or how calm its masks are on a video, and say by which protocol."""
    from rtseg.cli.evaluation import EvalRequest, evaluate

    del debug  # read by main(), which decides how an error is shown
    request = EvalRequest(
        model=model,
        source=source,
        taxonomy=taxonomy,
        layout=layout,
        split=split,
        names=names,
        limit=limit,
        sequences=sequences,
        size=size,
        calibration=calibration,
        backend=backend,
        precision=precision,
        tta=tuple(view.strip() for view in tta.split(",")) if tta else (),
        json_path=json_path,
        model_options=tuple(model_option or ()),
        quiet=quiet,
    )
    typer.echo(evaluate(request))
