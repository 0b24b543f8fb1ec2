"""Engines for a backend that lacks one: built into the cache, and proved on this GPU before the first frame is shown.

Backends lie below the builder, so they are handed this (`EngineSupply` in rtseg.backends.tensorrt).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rtseg.backends.base import EngineRequest
from rtseg.backends.tensorrt import TensorRTBackend
from rtseg.builder.engine_build import OnNote, build_for_key
from rtseg.builder.engine_gate import GateReport, prove
from rtseg.builder.parity_frames import LEAST_FRAMES, ParityFrames, scene_frames
from rtseg.cuda_device import current_device
from rtseg.engine_files.cache import CachedEngine, EngineCache, Lookup
from rtseg.engine_files.key import EngineKey, EnginePrecision
from rtseg.errors import EngineError
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.card import CARD_NAME
from rtseg.models.onnx_file import read_onnx_facts
from rtseg.models.options import fixed_size_wh, picture_input
from rtseg.network import NetworkSpec

OnReport = Callable[[GateReport], None]


class _OnlyThis(EngineCache):
    """A cache that has one engine and no other, so that what is proved is what was asked about."""

    def __init__(self, engine: CachedEngine) -> None:
        super().__init__(engine.cache.folder)
        self._engine = engine

    def lookup(self, key: EngineKey) -> Lookup:
        """Return the engine where it is the one of this key, or of the same built ahead."""
        digests = (key.digest, key.ahead().digest)
        if self._engine.manifest.key.digest in digests:
            return Lookup(self._engine, f"engine {self._engine.manifest.key.digest[:12]}, to be proved")
        return Lookup(None, "another form than the one to be proved")


class CacheSupply:
    """Builds what is missing, and runs the parity gate on what is unproved; `rtseg.backends.tensorrt.EngineSupply`."""

    def __init__(
        self,
        cache: EngineCache | None = None,
        *,
        on_note: OnNote | None = None,
        on_step: Callable[..., None] | None = None,
        on_report: OnReport | None = None,
    ) -> None:
        """Supply engines from a cache.

        Args:
            cache: None: the user's.
            on_note: told in one line what is about to take a while, and why.
            on_step: the compiler's progress.
            on_report: gets every report of the gate.
        """
        self._cache = cache or EngineCache()
        self._on_note = on_note or _say_nothing
        self._on_step = on_step
        self._on_report = on_report

    def build(self, request: EngineRequest, key: EngineKey, reason: str) -> CachedEngine:
        """Return the engine of a key, built now; `reason` says in one line why there is none."""
        network = request.network
        return build_for_key(network, key, self._cache, reason, on_note=self._on_note, on_step=self._on_step).engine

    def prove(self, request: EngineRequest, engine: CachedEngine) -> CachedEngine:
        """Run the parity gate on this GPU, and return the engine with what it said.

        Raises:
            EngineError: the engine does not run, or its float network does not.
        """
        device = current_device()
        self._on_note(f"proving: {request.model_name} was never held against its ONNX file on {device.name}")
        backend = TensorRTBackend(cache=_OnlyThis(engine), accept_unproved=True)
        backend.load(replace(request, with_scores=False))
        precision = engine.manifest.key.precision
        with backend, reference_for(request.network, precision) as (reference, frames):
            report = prove(backend, reference, precision, frames)
        if self._on_report is not None:
            self._on_report(report)
        return engine.add_proof(report.proof(device))


@contextmanager
def reference_for(network: NetworkSpec, precision: EnginePrecision) -> Iterator[tuple[NetworkSpec, ParityFrames]]:
    """Give the float network that an engine is held against, and frames of the built-in scene to do it on.

    Args:
        network: what the engine was built from, maybe the int8 file of a bundle, maybe at another size than the file's.
        precision: of the engine.

    Raises:
        EngineError: it is an int8 file and there is no card that names its float one.
    """
    bundle = _bundle_of(network)
    if bundle is None and precision == "int8":
        raise EngineError(
            f"parity gate: got {network.onnx_path.name} and no card beside it that names its float file; expected one "
            "to hold it against. Keep the file in its bundle."
        )
    wanted = network if bundle is None else replace(bundle.network, size_wh=network.size_wh)
    classes = tuple(f"class {index}" for index in range(network.class_count)) if bundle is None else bundle.classes
    frames = scene_frames("matte" if network.is_matte else "semantic", classes, network.size_wh, LEAST_FRAMES)
    facts = read_onnx_facts(wanted.onnx_path)
    fixed = fixed_size_wh(picture_input(facts, wanted.onnx_path.name), wanted.layout)
    if fixed in (None, wanted.size_wh):
        yield wanted, frames
        return
    import onnx

    from rtseg.builder.plain_graph import plain_model

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "reference.onnx"
        onnx.save(plain_model(wanted), str(path))
        yield replace(wanted, onnx_path=path), frames


def _bundle_of(network: NetworkSpec) -> Bundle | None:
    """Return the bundle that a network's file belongs to, None for a bare file."""
    folder = network.onnx_path.parent
    if not (folder / CARD_NAME).is_file():
        return None
    bundle = load_bundle(folder)
    return bundle if network.onnx_path in (bundle.network.onnx_path, bundle.int8_path) else None


def _say_nothing(_note: str) -> None:
    """Show nothing."""
