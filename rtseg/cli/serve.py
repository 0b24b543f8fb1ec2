"""`rtseg serve`: the engine behind a page in the browser."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    streams: Annotated[
        list[str] | None,
        typer.Argument(help="Cameras, addresses, files and scenes that are shown to everybody.", metavar="[URL...]"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback asks for a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8000,
    token: Annotated[str | None, typer.Option(help="Secret to be let in; made up where one is needed.")] = None,
    model: Annotated[str, typer.Option("-m", "--model", help="Model that is used first.")] = "person",
    effect: Annotated[str | None, typer.Option("-e", "--effect", help="What to draw first; default by model.")] = None,
    backend: Annotated[str, typer.Option(help="auto, tensorrt, torch, openvino or fake.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16, bf16 or int8.")] = "auto",
    source_option: Annotated[
        list[str] | None,
        typer.Option("-s", "--source-option", metavar="KEY=VALUE", help="Option of the streams: size, fps …"),
    ] = None,
    upload_mb: Annotated[int, typer.Option(min=1, help="Size of a video that is taken at most.")] = 512,
    viewers: Annotated[int, typer.Option(min=1, help="Viewers of all streams together at most.")] = 16,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing unless it fails.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Serve a page on which anyone sees the engine on their own camera, on a video, or on the streams given here."""
    from rtseg.sources.x11 import load_before_opencv

    load_before_opencv(streams or ())
    from rtseg.cli.serving import ServeRequest, execute

    del debug  # read by main(), which decides how an error is shown
    request = ServeRequest(
        streams=tuple(streams or ()),
        host=host,
        port=port,
        token=token,
        model=model,
        effect=effect,
        backend=backend,
        precision=precision,
        source_options=tuple(source_option or ()),
        upload_mb=upload_mb,
        viewers=viewers,
        quiet=quiet,
    )
    raise typer.Exit(execute(request))
