"""The engines that are compared, each loaded once, and which policy and hint they are loaded for."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from rtseg.backends.base import Backend, EngineRequest, Hint, Precision
from rtseg.backends.registry import load_backend
from rtseg.bench.resizing import resized_bundle
from rtseg.bench.settings import BenchOptions, Setting
from rtseg.errors import ConfigError, EngineError
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.options import CardOptions
from rtseg.segmenter import Segmenter, load


class EngineKey(NamedTuple):
    """What makes one loaded engine differ from another."""

    model: str
    backend: str
    precision: str
    size_wh: tuple[int, int] | None
    hint: Hint


class Engines:
    """Loads each engine at its first use and closes all at the end. A context manager."""

    def __init__(self, options: BenchOptions) -> None:
        self._options = options
        self._stack = ExitStack()
        self._loaded: dict[EngineKey, Segmenter] = {}
        self._folder = Path()

    def key_of(self, setting: Setting, *, live: bool) -> EngineKey:
        """Return which engine a setting needs: one frame soonest for a single live stream, else most a second."""
        single = self._options.sources == 1 and not self._options.find_capacity
        hint: Hint = "latency" if live and single else "throughput"
        return EngineKey(setting.model, setting.backend, setting.precision, setting.size_wh, hint)

    def get(self, key: EngineKey) -> Segmenter:
        """Return the loaded engine. Raises what `rtseg.load` raises."""
        if key not in self._loaded:
            self._loaded[key] = self._stack.enter_context(self._load(key))
        return self._loaded[key]

    def _load(self, key: EngineKey) -> Segmenter:
        options = self._options.model_options
        if key.size_wh is None or options or key.size_wh == bundle_of(key.model, self._options).network.size_wh:
            extra: dict[str, Any] = {"size_wh": key.size_wh} if key.size_wh and options else {}
            return load(key.model, backend=key.backend, precision=key.precision, hint=key.hint, **{**options, **extra})
        return _load_resized(key, key.size_wh, self._folder)

    def __enter__(self) -> Engines:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rtseg-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded.clear()
        self._stack.close()


def bundle_of(model: str, options: BenchOptions) -> Bundle:
    """Return the card of a model. Raises what `rtseg.load` raises for it."""
    return load_bundle(model, options=CardOptions(**options.model_options))


def _load_resized(key: EngineKey, size_wh: tuple[int, int], folder: Path) -> Segmenter:
    """Load a model with a card at another input size than its own."""
    card = load_bundle(key.model)
    old_wh = card.network.size_wh
    bundle = resized_bundle(card, size_wh, folder)

    def request_for(kind: type[Backend]) -> EngineRequest:
        precision, _ = bundle.choose_precision(key.precision, quantised=kind.runs_int8_files)
        if precision not in get_args(Precision):
            names = ", ".join(get_args(Precision))
            raise ConfigError(f"precision: got {precision!r}; expected one of {names}. Use auto.")
        network = bundle.network_for(precision)
        return EngineRequest(
            network, cast(Precision, precision), key.hint, model=key.model, torch_network=card.torch_network
        )

    try:
        backend, reasons = load_backend(key.backend, request_for)
    except EngineError as error:
        raise EngineError(
            f"--size: got {size_wh[0]}x{size_wh[1]} for a network made for {old_wh[0]}x{old_wh[1]}, and {error} "
            "Or leave --size out."
        ) from error
    _, file_reasons = bundle.choose_precision(key.precision, quantised=backend.runs_int8_files)
    said = f"Input {size_wh[0]}x{size_wh[1]}, as asked; the card's scores hold at {old_wh[0]}x{old_wh[1]} only."
    return Segmenter(bundle, backend, backend_reasons=(*reasons, *file_reasons, said))
