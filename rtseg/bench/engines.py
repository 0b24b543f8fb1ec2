"""The engines that are compared, each loaded once, and which policy and hint they are loaded for."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple, cast, get_args

from rtseg.backends.base import Backend, EngineRequest, Hint, Precision
from rtseg.backends.registry import load_backend
from rtseg.bench.settings import BenchOptions, Setting
from rtseg.errors import ConfigError
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
        if key.size_wh is None or options:
            extra: dict[str, Any] = {} if key.size_wh is None else {"size_wh": key.size_wh}
            return load(key.model, backend=key.backend, precision=key.precision, hint=key.hint, **{**options, **extra})
        return _load_resized(key, key.size_wh)

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self._loaded.clear()
        self._stack.close()


def bundle_of(model: str, options: BenchOptions) -> Bundle:
    """Return the card of a model. Raises what `rtseg.load` raises for it."""
    return load_bundle(model, options=CardOptions(**options.model_options))


def _load_resized(key: EngineKey, size_wh: tuple[int, int]) -> Segmenter:
    """Load a model with a card at another input size than its own."""
    bundle = load_bundle(key.model)
    bundle = replace(bundle, network=replace(bundle.network, size_wh=size_wh))

    def request_for(kind: type[Backend]) -> EngineRequest:
        precision, _ = bundle.choose_precision(key.precision, quantised=kind.runs_int8_files)
        if precision not in get_args(Precision):
            names = ", ".join(get_args(Precision))
            raise ConfigError(f"precision: got {precision!r}; expected one of {names}. Use auto.")
        network = bundle.network_for(precision)
        return EngineRequest(
            network, cast(Precision, precision), key.hint, model=key.model, torch_network=bundle.torch_network
        )

    backend, reasons = load_backend(key.backend, request_for)
    _, file_reasons = bundle.choose_precision(key.precision, quantised=backend.runs_int8_files)
    return Segmenter(bundle, backend, backend_reasons=(*reasons, *file_reasons))
