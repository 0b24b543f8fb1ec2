"""`rtseg build`: make a faster or smaller file of a model and prove that it says the same; or compile it for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CALIBRATION_HELP = (
    "What to learn the ranges of int8 from: a folder of pictures, a video, synthetic:street … Default: the built-in "
    "scene of the model's task; your own footage serves it better."
)
DATA_HELP = "What to judge it on: a labelled set (with --taxonomy) or any footage. Default: the built-in scene."
PRECISION_HELP = (
    "int8: quantize; fp16: store the weights in half the bytes. With --backend: arithmetic of the engine, fp16, int8 "
    "or fp32. Default there: what the model's card prefers."
)
FORM_HELP = (
    "With --backend: what goes in and comes out. planes (default): normalised planes in, the network's planes out; "
    "masks: labels or a matte out; bytes: picture bytes in, mask bytes out."
)
OUT_HELP = "The new bundle folder. Default: NAME-int8 (or NAME-fp16) here."


def command(
    model: Annotated[str, typer.Argument(help="Bundle name, bundle folder or .onnx file.", metavar="MODEL")],
    precision: Annotated[str | None, typer.Option(help=PRECISION_HELP)] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="tensorrt", help="Compile an engine into the cache, instead of a new file.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="With --backend: input size. Default: that of the model.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="With --backend: pictures in one call. Default: 1.")] = None,
    form: Annotated[str | None, typer.Option(metavar="FORM", help=FORM_HELP)] = None,
    again: Annotated[
        bool, typer.Option("--again", help="With --backend: build it even if it is in the cache.")
    ] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FOLDER", help=OUT_HELP)] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Put the int8 file into the bundle itself and into its card.")
    ] = False,
    calibration: Annotated[str | None, typer.Option(metavar="SOURCE", help=CALIBRATION_HELP)] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames to calibrate on, spread evenly.")] = None,
    data: Annotated[str | None, typer.Option(metavar="DATA", help=DATA_HELP)] = None,
    taxonomy: Annotated[
        str | None, typer.Option("-t", "--taxonomy", help="What the labels of --data mean: camvid11, person …")
    ] = None,
    layout: Annotated[str, typer.Option(help="How --data lies on disk; see rtseg eval.")] = "auto",
    split: Annotated[str | None, typer.Option(help="Of --data: train, val …")] = None,
    parity_frames: Annotated[
        int | None, typer.Option("--parity-frames", min=1, help="Frames to judge on, at least 32.")
    ] = None,
    default: Annotated[
        str, typer.Option(help="File that is used unless told otherwise: int8, fp16, or auto: the faster one.")
    ] = "auto",
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write the parity report there, as JSON.")
    ] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option("--model-option", metavar="KEY=VALUE", help="A fact about an .onnx file that has no card."),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress and no table.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Build a model's int8 or fp16 file and keep it only if it passes; or, with --backend, an engine for the GPU."""
    from rtseg.cli.building import BuildRequest, build
    from rtseg.cli.engines import EngineRequestWords, build_engine_for, refuse_engine_words

    del debug  # read by main(), which decides how an error is shown
    words = EngineRequestWords(
        model=model,
        backend=backend,
        precision=precision,
        size=size,
        batch=batch,
        form=form,
        again=again,
        report_path=report,
        model_options=tuple(model_option or ()),
        quiet=quiet,
    )
    request = BuildRequest(
        model=model,
        precision=precision,
        out=out,
        in_place=in_place,
        calibration=calibration,
        frames=frames,
        data=data,
        taxonomy=taxonomy,
        layout=layout,
        split=split,
        parity_frames=parity_frames,
        default=default,
        report_path=report,
        model_options=tuple(model_option or ()),
        quiet=quiet,
    )
    if backend is None:
        refuse_engine_words(words)
        build(request)
    else:
        request.refuse_file_words()
        build_engine_for(words)
