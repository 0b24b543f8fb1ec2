"""The public functions: `run` and `stream`. The command line calls the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rtseg.builder.engine_on_demand import EnginesOnDemand
from rtseg.errors import ConfigError
from rtseg.models.bundle import Bundle
from rtseg.pipeline.device_batch import batch_for
from rtseg.pipeline.mosaic import Mosaic
from rtseg.pipeline.pipeline import Pipeline
from rtseg.pipeline.report import Progress
from rtseg.pipeline.sink_thread import isolate
from rtseg.pipeline.together import run_mosaic, run_together
from rtseg.pipeline.watching import LiveOptions
from rtseg.redaction import redact, safe_name
from rtseg.render.effects import Effect, has_alpha, parse_effects
from rtseg.segmenter import Segmenter, hint_for, load
from rtseg.sinks import is_url, open_sink
from rtseg.sinks.base import Sink
from rtseg.sinks.targets import check_sources_stay, check_targets
from rtseg.sources import open_source
from rtseg.sources.base import Source
from rtseg.sources.naming import is_live_name
from rtseg.sources.stream_address import is_stream_address
from rtseg.stats import Stats, merged
from rtseg.types import Frame, Segmentation

SourceSpec: TypeAlias = "str | Path | int | Source"
SinkSpec: TypeAlias = "str | Path | Sink"
EffectSpec: TypeAlias = "str | Effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything about a run that is not its sources, its model and its sinks."""

    effects: Sequence[EffectSpec] | None = None
    """What to draw, in order; None: the bundle's default effect; empty: nothing."""
    classes: Sequence[str] | None = None
    """Names of the classes that the effects are about; None: the effect's own choice."""
    policy: str | None = None
    """"every", "freshest", or None to choose by the kind of source."""
    start_seconds: float = 0.0
    """Where in a file to begin."""
    duration_seconds: float | None = None
    """How much of a file to take; None: all."""
    max_frames: int | None = None
    """Stop each source after that many frames."""
    codec: str | None = None
    """Codec of video files; None: what suits the container."""
    quality: int | None = None
    """Quality of video files, 0 to 100; None: the sink's default."""
    overwrite: bool = False
    """Replace outputs that exist."""
    together: bool | None = None
    """Run several sources at once; None: where one of them is live."""
    mosaic: bool = False
    """Show several sources, at once, in one picture."""
    reconnect_max_seconds: float = 30.0
    """The longest wait between two tries to find a lost live source again; 0: do not try."""
    staleness_ms: float = 100.0
    """How long a frame of a live source may wait for the engine before it counts as stale."""
    source_options: dict[str, Any] = field(default_factory=dict)
    """More options for `open_source` (size_wh, fps, seed …)."""


def run(
    *sources: SourceSpec,
    model: str | Path | Segmenter = "street",
    effect: EffectSpec | Sequence[EffectSpec] | None = None,
    out: SinkSpec | Sequence[SinkSpec] | None = None,
    backend: str = "auto",
    precision: str = "auto",
    smoothing: bool | None = None,
    edges: bool | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Stats:
    """Segment and composite one or several sources through one engine: at once where one is live, else one by one.

    Args:
        sources: paths, folders of pictures, camera numbers, "rtsp://…", "synthetic:street" …, or `Source` objects.
        model: bundle name, bundle folder, .onnx file, or a loaded segmenter (which stays open).
        effect: one or several effects, such as "driving" or "blur:strength=0.6"; None: the bundle's default.
        out: one or several sinks, such as "seen.mp4", "masks:DIR", "null"; several sources need a folder or a name
            with {name}. None: frames are composited and measured, and go nowhere.
        backend: "auto" or the name of a backend.
        precision: "auto", "fp32", "fp16", "bf16" or "int8".
        smoothing: temporal smoothing of the masks; None: as the bundle says.
        edges: refinement of soft edges by the picture; None: as the bundle says.
        on_progress: called at most ten times a second.
        options: the fields of `RunOptions`.

    Returns:
        What was measured; for several sources their sum, with each under `sources`.

    Raises:
        RtsegError: the first failure, with stage and frame index.
        SourcesFailed: of sources that ran at once, some failed; the others ran to their end, and their stats are here.
    """
    chosen = _run_options(effect, options)
    specs = list(sources)
    if not specs:
        raise ConfigError("run: got no source; expected at least one. Name a file, a camera or synthetic:street.")
    outs = _as_list(out)
    with ExitStack() as stack:
        segmenter = (
            model
            if isinstance(model, Segmenter)
            else stack.enter_context(
                load_for(model, specs, chosen, backend=backend, precision=precision, smoothing=smoothing, edges=edges)
            )
        )
        mosaic = mosaic_for(specs, outs, chosen)
        pipelines = pipelines_for(specs, segmenter, outs, chosen, mosaic=mosaic, on_progress=on_progress)
        if mosaic is not None:
            return merged(run_mosaic(pipelines, mosaic))
        if runs_together(specs, outs, chosen):
            return merged(run_together(pipelines))
        return merged([pipeline.run() for pipeline in pipelines])


def stream(
    source: SourceSpec,
    *,
    model: str | Path | Segmenter = "street",
    backend: str = "auto",
    precision: str = "auto",
    smoothing: bool | None = None,
    edges: bool | None = None,
    **options: Any,
) -> Iterator[tuple[Frame, Segmentation]]:
    """Yield every frame of a source with its segmentation, decoded and inferred ahead in the background.

    The arguments are those of `run`. Breaking out of the loop ends the background threads.

    Raises:
        RtsegError: the first failure, with stage and frame index.
    """
    chosen = _run_options(None, options)
    with ExitStack() as stack:
        segmenter = (
            model
            if isinstance(model, Segmenter)
            else stack.enter_context(
                load_for(
                    model, [source], chosen, backend=backend, precision=precision, smoothing=smoothing, edges=edges
                )
            )
        )
        pipeline = Pipeline(
            describe(source, chosen),
            segmenter,
            policy=chosen.policy,
            max_frames=chosen.max_frames,
            live=live_options(chosen),
        )
        yield from pipeline.results()


def runs_together(sources: Sequence[SourceSpec], outs: Sequence[SinkSpec], options: RunOptions) -> bool:
    """Return whether these sources run at once: asked for, or one of them is live.

    Raises:
        ConfigError: that would open several windows, which one program cannot serve.
    """
    if len(sources) < 2 or options.together is False:
        return False
    at_once = options.together or any(is_live_name(source) for source in sources)
    if at_once and not options.mosaic and "window" in map(str, outs):
        raise ConfigError(
            f"window: got {len(sources)} sources at once; expected one. Show them in one picture: --mosaic."
        )
    return bool(at_once)


def mosaic_for(sources: Sequence[SourceSpec], outs: Sequence[SinkSpec], options: RunOptions) -> Mosaic | None:
    """Return the mosaic that was asked for, with its sinks; None: each source has outputs of its own.

    Raises:
        ConfigError: an output that cannot show a mosaic.
    """
    if not options.mosaic:
        return None
    sinks = [
        open_sink(
            _out_for(spec, "mosaic", several=False, alpha=False),
            overwrite=options.overwrite,
            codec=options.codec,
            quality=options.quality,
        )
        for spec in outs
    ]
    check_targets(sinks)
    return Mosaic([source_name(source) for source in sources], isolate(sinks))


def load_for(model: str | Path, sources: Sequence[SourceSpec], options: RunOptions, **load_options: Any) -> Segmenter:
    """Load a model for these sources: for one frame as early as possible if one is live, else for many a second."""
    live = any(is_live_name(source, options.policy) for source in sources)
    at_once = options.together or options.mosaic or any(is_live_name(source) for source in sources)
    batch = batch_for(len(sources), at_once=bool(at_once) and options.together is not False)
    return load(model, hint=hint_for(live=live), **{"supply": EnginesOnDemand(), "batch": batch, **load_options})


def pipelines_for(
    sources: Sequence[SourceSpec],
    segmenter: Segmenter,
    outs: Sequence[SinkSpec],
    options: RunOptions,
    *,
    described: Sequence[Source] | None = None,
    mosaic: Mosaic | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_command: Callable[[Pipeline, str], None] | None = None,
) -> list[Pipeline]:
    """Return a pipeline for every source, ready to run.

    Args:
        sources: what they are called.
        segmenter: loaded model.
        outs: where to.
        options: everything else.
        described: what `describe` made of the sources already; None: that is done here.
        mosaic: takes the place of the outputs.
        on_progress: called at most ten times a second.
        on_command: called with the commands that a sink's keys give.

    Raises:
        ConfigError: options that cannot be right; an output that is a source, or that two of the sinks would write.
        SourceError: one of the sources is not there.
    """
    effects = effects_for(segmenter.bundle, options.effects, options.classes)
    described = [describe(source, options) for source in sources] if described is None else described
    sinks: list[list[Sink]] = (
        [[tile] for tile in mosaic.tiles]
        if mosaic is not None
        else [
            _sinks_for(source, outs, options, several=len(sources) > 1, alpha=has_alpha(effects)) for source in sources
        ]
    )
    every_sink = [sink for of_one in sinks for sink in of_one]
    check_targets(every_sink)
    check_sources_stay([path for source in described for path in source.files()], every_sink)
    return [
        Pipeline(
            source,
            segmenter,
            effects=effects,
            sinks=of_one,
            policy=options.policy,
            max_frames=options.max_frames,
            on_progress=on_progress,
            on_command=on_command,
            live=live_options(options),
            label=source_name(name),
        )
        for name, source, of_one in zip(sources, described, sinks, strict=True)
    ]


def live_options(options: RunOptions) -> LiveOptions:
    """Return how live sources are treated. Raises ConfigError for what cannot be right."""
    return LiveOptions(
        reconnect_max_seconds=options.reconnect_max_seconds, staleness_seconds=options.staleness_ms / 1000
    )


def _sinks_for(
    source: SourceSpec, outs: Sequence[SinkSpec], options: RunOptions, *, several: bool, alpha: bool
) -> list[Sink]:
    paced = not is_live_name(source, options.policy)
    sinks = [
        open_sink(
            _out_for(spec, source_name(source), several=several, alpha=alpha),
            overwrite=options.overwrite,
            codec=options.codec,
            quality=options.quality,
            paced=paced,
        )
        for spec in outs
    ]
    return list(isolate(sinks, paced=paced))


def effects_for(
    bundle: Bundle, asked: Sequence[EffectSpec] | None, classes: Sequence[str] | None
) -> tuple[Effect, ...]:
    """Return the effects to draw: those asked for, else the bundle's default, about the classes asked for."""
    specs = [bundle.default_effect] if asked is None else list(asked)
    effects: list[Effect] = []
    for spec in specs:
        if isinstance(spec, str):
            effects += parse_effects([_with_classes(spec, classes)], classes=bundle.classes)
        else:
            effects.append(spec)
    return tuple(effects)


def source_name(source: SourceSpec) -> str:
    """Return a file name stem for the outputs of a source."""
    if isinstance(source, Source):
        return "source"
    text = str(source)
    if isinstance(source, str) and is_stream_address(text):
        return safe_name(text)
    stem = Path(text).stem if Path(text).exists() else text.partition("?")[0]
    return "".join(c if c.isalnum() or c in "-_. " else "-" for c in stem).strip("-. ") or "source"


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names in "car,person" or in a sequence. Raises ConfigError where there is none."""
    words = classes.split(",") if isinstance(classes, str) else classes
    names = tuple(name.strip() for name in words if name.strip())
    if not names:
        raise ConfigError(f"classes: got {classes!r}; expected names such as car,person. Leave it out for the default.")
    return names


def _with_classes(effect: str, classes: Sequence[str] | None) -> str:
    if not classes or "classes=" in effect or effect.partition(":")[0] == "none":
        return effect
    return f"{effect}{',' if ':' in effect else ':'}classes={'+'.join(classes)}"


def _run_options(effect: EffectSpec | Sequence[EffectSpec] | None, options: dict[str, Any]) -> RunOptions:
    if effect is not None:
        options = {**options, "effects": [effect] if isinstance(effect, str | Effect) else list(effect)}
    known = set(RunOptions.__dataclass_fields__)
    if unknown := sorted(set(options) - known):
        raise ConfigError(
            f"run: got unknown options {', '.join(unknown)}; expected some of {', '.join(sorted(known))}. Drop them."
        )
    if options.get("classes") is not None:
        options = {**options, "classes": class_names(options["classes"])}
    chosen = RunOptions(**options)
    if chosen.max_frames is not None and chosen.max_frames < 1:
        raise ConfigError(f"max_frames: got {chosen.max_frames}; expected at least 1. Leave it out for all frames.")
    return chosen


def _as_list(out: SinkSpec | Sequence[SinkSpec] | None) -> list[SinkSpec]:
    if out is None:
        return ["null"]
    return [out] if isinstance(out, str | Path | Sink) else list(out)


def describe(source: SourceSpec, options: RunOptions) -> Source:
    """Return the source of a name, not yet opened. Raises SourceError where nothing is there."""
    asked: dict[str, Any] = dict(options.source_options)
    if options.start_seconds:
        asked["start_seconds"] = options.start_seconds
    if options.duration_seconds is not None:
        asked["duration_seconds"] = options.duration_seconds
    return open_source(source, **asked)


def _out_for(spec: SinkSpec, name: str, *, several: bool, alpha: bool) -> SinkSpec:
    """Return the sink of one source: `{name}` filled in, a folder completed to FOLDER/NAME.rtseg.mp4 (.mov: alpha)."""
    if isinstance(spec, Sink) or str(spec).partition(":")[0] in ("null", "window", "virtualcam"):
        return spec
    text = str(spec)
    if not text:
        return spec
    if "{name}" in text:
        return text.replace("{name}", name)
    if is_url(text) and not several:
        return text
    if text.startswith("segments:"):
        return _segments_of(text, name) if several else text
    if not is_url(text) and (text.endswith(("/", "\\")) or Path(text).is_dir()):
        return str(Path(text) / f"{name}.rtseg.{'mov' if alpha else 'mp4'}")
    if several and text.partition(":")[0] in ("masks", "frames"):
        return f"{text}/{name}"
    if several:
        raise ConfigError(
            f"out: got {redact(text)!r} for several sources; expected a folder or a name with {{name}} in it. "
            "Try '{name}.rtseg.mp4'."
        )
    return spec


def _segments_of(text: str, name: str) -> str:
    """Return where the segments of one of several sources go: a folder of that name in the folder asked for."""
    place, mark, query = text.partition("?")
    if "%" in Path(place).name:
        raise ConfigError(
            f"out: got {text!r} for several sources; expected a name with {{name}} in it. Try '{{name}}/'."
        )
    return f"{place.rstrip('/')}/{name}{mark}{query}"
