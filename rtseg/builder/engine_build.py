"""From a bundle to an engine in the cache: found there, or built once, whoever asks first."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rtseg.cuda_device import CudaDevice, current_device
from rtseg.engine_files.cache import CachedEngine, EngineCache
from rtseg.engine_files.key import EngineForm, EngineKey, EnginePrecision, engine_key
from rtseg.engine_files.manifest import EngineManifest
from rtseg.errors import BackendUnavailable
from rtseg.models.bundle import Bundle
from rtseg.network import NetworkSpec
from rtseg.stats import machine_facts
from rtseg.tensorrt_flavour import Flavour, load_flavour
from rtseg.tensorrt_log import apart

if TYPE_CHECKING:  # building needs onnx, which looking an engine up does not
    from rtseg.builder.half_ranges import HalfRanges
    from rtseg.builder.tensorrt_engine import OnBuildStep
    from rtseg.builder.tensorrt_graph import EngineGraph

OnNote = Callable[[str], None]
"""Told in one line what is about to happen, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOrder:
    """Which engine of a bundle is wanted."""

    precision: EnginePrecision = "fp16"
    size_wh: tuple[int, int] | None = None
    """None: the size on the card."""
    batch: int = 1
    form: EngineForm = "planes"

    def network_of(self, bundle: Bundle) -> NetworkSpec:
        """Return the network's facts with the file of the precision, at the size in use.

        Raises:
            ConfigError: int8 is wanted and the bundle has no int8 file.
        """
        network = bundle.network_for(self.precision)
        return network if self.size_wh is None else replace(network, size_wh=self.size_wh)

    def key_of(self, bundle: Bundle, flavour: Flavour, device: CudaDevice) -> EngineKey:
        """Return the key of the engine. Raises ConfigError where there can be none."""
        return engine_key(
            self.network_of(bundle),
            flavour,
            device,
            precision=self.precision,
            model=bundle.name,
            model_sha256=bundle.sha256_for(self.precision),
            batch=self.batch,
            form=self.form,
        )


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """An engine, and how it came about."""

    engine: CachedEngine
    built: bool
    """False: it was in the cache."""
    reason: str
    """Which one was found, or why one had to be built."""


def build_engine(
    bundle: Bundle,
    order: EngineOrder,
    *,
    cache: EngineCache | None = None,
    device: CudaDevice | None = None,
    again: bool = False,
    on_note: OnNote | None = None,
    on_step: OnBuildStep | None = None,
) -> EngineBuild:
    """Return an engine of the cache, built where it is not there; two processes that want the same build it once.

    Args:
        bundle: the model.
        order: which engine of it.
        cache: None: the user's.
        device: that it is for; None: the GPU at hand, or none.
        again: build it even if it is there.
        on_note: why it is built, and that another process is waited for.
        on_step: the compiler's progress.

    Raises:
        BackendUnavailable: no TensorRT, or no onnx, is installed.
        ConfigError: there can be no such engine.
        EngineError: it cannot be built or kept.
        KeyboardInterrupt: it came while building; nothing is left behind.
    """
    cache = cache or EngineCache()
    key = order.key_of(bundle, load_flavour(), current_device() if device is None else device)
    found = cache.lookup(key)
    if found.engine is not None and not again:
        return EngineBuild(found.engine, False, found.reason)
    before = found.engine.manifest.built_at if found.engine is not None else None
    reason = "asked for again" if again else found.reason
    network = order.network_of(bundle)
    return build_for_key(network, key, cache, reason, replaces=before, on_note=on_note, on_step=on_step)


def build_for_key(
    network: NetworkSpec,
    key: EngineKey,
    cache: EngineCache,
    reason: str,
    *,
    replaces: str | None = None,
    on_note: OnNote | None = None,
    on_step: OnBuildStep | None = None,
) -> EngineBuild:
    """Return the engine of a key, built now unless another process does so meanwhile.

    Args:
        network: what the key was made of.
        key: of the engine.
        cache: where it goes.
        reason: why it is built.
        replaces: when the engine that it is to replace was built; None: any that is there will do.
        on_note: told the reason, and that another process is waited for.
        on_step: the compiler's progress.

    Raises:
        BackendUnavailable, EngineError, KeyboardInterrupt: as `build_engine`.
    """
    note = on_note or _say_nothing
    flavour = load_flavour()
    _check_tools(flavour, key)
    with cache.exclusive(key, on_wait=lambda: note("another process is building this engine; waiting for it")):
        waited = cache.lookup(key)
        if waited.engine is not None and waited.engine.manifest.built_at != replaces:
            return EngineBuild(waited.engine, False, waited.reason)
        note(f"building: {reason}")
        manifest, plan = _built(network, key, flavour, note, on_step)
        return EngineBuild(cache.store(manifest, plan), True, reason)


def _built(
    network: NetworkSpec, key: EngineKey, flavour: Flavour, note: OnNote, on_step: OnBuildStep | None
) -> tuple[EngineManifest, bytes]:
    started = time.perf_counter()
    apart(_import_onnx)
    ranges = None
    if key.precision == "fp16":  # an int8 file was made by whoever measured it, and is built as it is
        note("measuring the network's values for fp16")
        ranges = _ranges(network, key)
    graph = apart(lambda: _graph(network, key, () if ranges is None else ranges.keep))

    from rtseg.builder.tensorrt_engine import compile_network
    from rtseg.builder.tensorrt_network import parse

    parsed = parse(graph, flavour)
    note("compiling")
    compiled = compile_network(parsed, flavour, key.precision, on_step=on_step)
    manifest = EngineManifest(
        key=key,
        inputs=graph.inputs,
        outputs=graph.outputs,
        built_at=datetime.now(UTC).isoformat(),
        build_seconds=round(time.perf_counter() - started, 3),
        layers=parsed.layers,
        kept_fp32=graph.kept_fp32,
        ranges={} if ranges is None else ranges.to_json(),
        target=compiled.target,
        warnings=parsed.warnings,
        machine=machine_facts(),
    )
    return manifest, compiled.plan


def _graph(network: NetworkSpec, key: EngineKey, keep: Collection[str] = ()) -> EngineGraph:
    """Return the graph of a key's engine, with these nodes kept in fp32."""
    from rtseg.builder.tensorrt_graph import engine_graph

    return engine_graph(network, key.precision, form=key.form, batch=key.batch, keep=keep)


def _ranges(network: NetworkSpec, key: EngineKey) -> HalfRanges:
    """Return what was measured of the network's values."""
    from rtseg.builder.half_ranges import measured_ranges
    from rtseg.builder.tensorrt_graph import engine_graph

    return measured_ranges(network, lambda at_size, keep: engine_graph(at_size, key.precision, keep=keep).model)


def _import_onnx() -> None:
    """Import onnx apart: a signal's exception in the middle of its first import ends the process."""
    import_module("onnx")


def _check_tools(flavour: Flavour, key: EngineKey) -> None:
    """Raise BackendUnavailable where this machine cannot build."""
    if find_spec("onnx") is None:
        raise BackendUnavailable(
            "build for tensorrt: got no onnx, which changes the network's precision; expected it. Run: pip install "
            "'onnx>=1.19'."
        )
    if not flavour.builds_without_gpu and key == key.ahead():
        raise BackendUnavailable(
            f"build for {flavour}: got no GPU; expected one, as this flavour times kernels on it. To build ahead "
            "without one, in an environment of its own: pip install 'rtseg[tensorrt-rtx]'."
        )


def _say_nothing(_note: str) -> None:
    """Show nothing."""
