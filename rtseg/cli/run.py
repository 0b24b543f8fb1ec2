"""`rtseg run`: segment and composite videos, pictures, a camera or the built-in scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EFFECT_HELP = (
    "What to draw, NAME[:key=value,…]; give it twice to stack two. driving, tint, outline, blur, replace, spotlight, "
    "cutout, none. Default: the model's own."
)
OUT_HELP = (
    "Where to: a video file, a folder, segments:DIR, masks:DIR, frames:DIR, window, virtualcam, null, or a URL "
    "(rtmp://, rtsp://, udp://); may be given several times; {name} stands for the source. Default: a window if there "
    "is a display, else NAME.rtseg.mp4 here."
)
SOURCE_HELP = (
    "Video files, folders or globs of pictures, a camera (0, /dev/video0), rtsp://, rtmp://, http(s)://, udp://, "
    "screen: or screen:WxH+X+Y, synthetic:street, synthetic:desk."
)


def command(
    sources: Annotated[list[str], typer.Argument(help=SOURCE_HELP, metavar="SOURCE...")],
    model: Annotated[str, typer.Option("-m", "--model", help="Bundle name, bundle folder or .onnx file.")] = "street",
    effect: Annotated[list[str] | None, typer.Option("-e", "--effect", help=EFFECT_HELP)] = None,
    out: Annotated[list[str] | None, typer.Option("-o", "--out", help=OUT_HELP)] = None,
    backend: Annotated[str, typer.Option(help="auto, tensorrt, torch, openvino or fake.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16, bf16 or int8.")] = "auto",
    policy: Annotated[str | None, typer.Option(help="every (default for files) or freshest (live sources).")] = None,
    together: Annotated[
        bool | None,
        typer.Option("--together/--one-by-one", help="Several sources at once; default: where one is live."),
    ] = None,
    mosaic: Annotated[bool, typer.Option("--mosaic", help="Show several sources, at once, in one picture.")] = False,
    reconnect_max: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Longest wait between tries to find a lost live source; 0: do not try."),
    ] = 30.0,
    staleness: Annotated[
        float, typer.Option(metavar="MS", help="How long a live frame may wait for the engine before it is stale.")
    ] = 100.0,
    stats: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write what was measured.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop each source after that many frames.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Begin there: seconds or H:MM:SS.")] = None,
    duration: Annotated[str | None, typer.Option(metavar="TIME", help="Take that much: seconds or H:MM:SS.")] = None,
    classes: Annotated[str | None, typer.Option(metavar="A,B", help="Classes that the effects are about.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264, h265, vp9, av1 or prores; default by container.")] = None,
    quality: Annotated[int | None, typer.Option(min=0, max=100, help="Quality of video files.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    smoothing: Annotated[
        bool | None, typer.Option("--smoothing/--no-smoothing", help="Smooth masks over time; default by model.")
    ] = None,
    edges: Annotated[
        bool | None, typer.Option("--edges/--no-edges", help="Refine soft edges by the picture; default by model.")
    ] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--source-option",
            metavar="KEY=VALUE",
            help="Source option: size, fps, format, transport, open_timeout, tls_verify, ffmpeg.NAME …; a wrong one "
            "is answered with those there are.",
        ),
    ] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option(
            "--model-option",
            metavar="KEY=VALUE",
            help="A fact about an .onnx file that has no card: size, layout, channel_order, scale, mean, std, "
            "output_kind, classes, palette.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless it fails.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Segment and composite sources through one engine: live ones at once, others one after the other."""
    from rtseg.sources.x11 import load_before_opencv

    load_before_opencv(sources)
    from rtseg.cli.request import RunRequest, begin_loading

    del debug  # read by main(), which decides how an error is shown
    request = RunRequest(
        sources=tuple(sources),
        model=model,
        effects=None if effect is None else tuple(effect),
        outs=None if out is None else tuple(out),
        backend=backend,
        precision=precision,
        policy=policy,
        together=together,
        mosaic=mosaic,
        reconnect_max_seconds=reconnect_max,
        staleness_ms=staleness,
        stats_path=stats,
        max_frames=max_frames,
        start=start,
        duration=duration,
        classes=classes,
        codec=codec,
        quality=quality,
        overwrite=overwrite,
        smoothing=smoothing,
        edges=edges,
        source_options=tuple(source_option or ()),
        model_options=tuple(model_option or ()),
        quiet=quiet,
    )
    with begin_loading(request) as loading:
        from rtseg.cli.running import execute  # imported while the engine is loaded

        raise typer.Exit(execute(request, loading))
