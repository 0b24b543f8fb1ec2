"""`rtseg bench`: how fast every combination runs here, against its bare engine and the limit of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MODEL_HELP = "Bundle names, bundle folders or .onnx files; or: compare A.json B.json, to hold two results together."
SOURCE_HELP = "Video files, or synthetic:street, synthetic:desk (written to an H.264 file first). Default: by model."
SINK_HELP = "null, .mp4, .mkv, .mov, .webm, masks, frames or window; files go to a temporary folder. Default: null."
EFFECT_HELP = "What to draw, as in rtseg run; once for each to compare. Default: the model's own."


def command(
    models: Annotated[list[str] | None, typer.Argument(help=MODEL_HELP, metavar="[MODEL...]")] = None,
    source: Annotated[list[str] | None, typer.Option("-i", "--source", help=SOURCE_HELP)] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="auto, tensorrt, torch, openvino, fake; several: A,B.")
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="auto, fp32, fp16, bf16 or int8; several: A,B.")] = None,
    size: Annotated[list[str] | None, typer.Option(metavar="WxH", help="Network input; several: A,B.")] = None,
    effect: Annotated[list[str] | None, typer.Option("-e", "--effect", help=EFFECT_HELP)] = None,
    sink: Annotated[list[str] | None, typer.Option("-o", "--sink", help=SINK_HELP)] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long each repetition is measured.")] = 3.0,
    repeats: Annotated[int, typer.Option(metavar="N", help="Repetitions, interleaved between all settings.")] = 5,
    sources: Annotated[int, typer.Option(metavar="N", help="Pipelines side by side through one engine.")] = 1,
    pace: Annotated[
        float | None, typer.Option(metavar="HZ", help="Hand frames out at this rate, as a camera does.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="every or freshest. Default: freshest where paced or live.")
    ] = None,
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Search how many paced cameras run in time.")
    ] = False,
    p99: Annotated[float, typer.Option(metavar="MS", help="Limit of the frame age's p99 for --find-capacity.")] = 100.0,
    glass: Annotated[
        bool, typer.Option("--glass", help="Also the delay from source to sink, by a time code in the picture.")
    ] = False,
    codec: Annotated[str | None, typer.Option(help="Codec of video files, as in rtseg run.")] = None,
    quality: Annotated[int | None, typer.Option(min=0, max=100, help="Quality of video files.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a self-contained report.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report's charts.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as Markdown.")] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option("--model-option", metavar="KEY=VALUE", help="A fact about an .onnx file that has no card."),
    ] = None,
    fail_on_worse: Annotated[
        bool, typer.Option("--fail-on-worse", help="With compare: exit with 1 where anything is worse.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Measure every combination of the options, interleaved, and say what is better and what cannot be told apart."""
    from rtseg.cli.benching import BenchRequest, compare_files, execute
    from rtseg.errors import ConfigError

    del debug  # read by main(), which decides how an error is shown
    names = tuple(models or ("street",))
    if names[0] == "compare":
        raise typer.Exit(compare_files(names[1:], fail_on_worse=fail_on_worse))
    if fail_on_worse:
        raise ConfigError("--fail-on-worse: got models to measure; expected compare A.json B.json. Leave it out.")
    request = BenchRequest(
        models=names,
        sources=tuple(source or ()),
        backends=tuple(backend or ()),
        precisions=tuple(precision or ()),
        sizes=tuple(size or ()),
        effects=tuple(effect or ()),
        sinks=tuple(sink or ()),
        seconds=seconds,
        repeats=repeats,
        pipelines=sources,
        pace_hz=pace,
        policy=policy,
        find_capacity=find_capacity,
        p99_ms=p99,
        glass=glass,
        codec=codec,
        quality=quality,
        outputs={"--json": json_path, "--html": html, "--png": png, "--markdown": markdown},
        model_options=tuple(model_option or ()),
        quiet=quiet,
    )
    raise typer.Exit(execute(request))
