"""The models of a server: each loaded once, when it is first needed, and shared by everything that runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from rtseg.backends.flight import Flight
from rtseg.builder.engine_on_demand import EnginesOnDemand
from rtseg.errors import ConfigError
from rtseg.models.bundle import Bundle, list_bundles, load_bundle
from rtseg.segmenter import Segmenter, load
from rtseg.serve.settings import effects_for_model
from rtseg.types import UInt8Array


class SegmenterView(Segmenter):
    """A loaded model with a smoothing of its own; the engine, and the count of what is in it, is that of the first.

    Closing a view releases nothing.
    """

    def __init__(self, loaded: Segmenter, *, smoothing: bool) -> None:
        super().__init__(loaded.bundle, loaded.backend, backend_reasons=loaded.backend_reasons, smoothing=smoothing)
        self._loaded = loaded

    def _dispatch(self, rgb: UInt8Array) -> Flight:
        """Start inference in the shared engine."""
        return self._loaded._dispatch(rgb)

    def close(self) -> None:
        """Leave the engine to the one that loaded it."""


class ModelShelf:
    """Bundles by name, and their segmenters once somebody has asked for them.

    Threading: every method may be called from any thread; loading blocks, so it is called off the event loop.
    """

    def __init__(self, preferred: str = "person", *, backend: str = "auto", precision: str = "auto") -> None:
        """Take the model that is used where none is asked for: a shipped name, a bundle folder or an ONNX file."""
        self._backend = backend
        self._precision = precision
        self._lock = threading.Lock()
        self._bundles: dict[str, Bundle] = {}
        self._views: dict[tuple[str, bool], SegmenterView] = {}
        self._loaded: dict[str, Segmenter] = {}
        self._preferred = self._add(load_bundle(preferred)).name
        for name in list_bundles():
            if name not in self._bundles:
                self._add(load_bundle(name))

    @property
    def preferred(self) -> Bundle:
        """The model that is used where none is asked for."""
        return self._bundles[self._preferred]

    @property
    def names(self) -> Sequence[str]:
        """The names of all models, the preferred one first."""
        return tuple(self._bundles)

    def bundle(self, name: str) -> Bundle:
        """Return a model's card. Raises ConfigError where there is none of that name."""
        if name not in self._bundles:
            raise ConfigError(f"model: got {name[:60]!r}; expected one of {', '.join(self._bundles)}.")
        return self._bundles[name]

    def segmenter(self, name: str, *, smoothing: bool) -> Segmenter:
        """Return a model, loaded, with smoothing on or off; waits while somebody else loads one.

        Raises:
            ConfigError: there is none of that name.
            RtsegError: it cannot be loaded.
        """
        bundle = self.bundle(name)
        with self._lock:
            if (name, smoothing) not in self._views:
                if name not in self._loaded:
                    self._loaded[name] = self._load(bundle)
                self._views[name, smoothing] = SegmenterView(self._loaded[name], smoothing=smoothing)
            return self._views[name, smoothing]

    def to_json(self) -> list[dict[str, Any]]:
        """Return what a page needs to know of the models."""
        return [_facts(bundle) for bundle in self._bundles.values()]

    def close(self) -> None:
        """Release the engines; nothing may be running."""
        with self._lock:
            for segmenter in self._loaded.values():
                segmenter.close()
            self._loaded.clear()
            self._views.clear()

    def _add(self, bundle: Bundle) -> Bundle:
        self._bundles[bundle.name] = bundle
        return bundle

    def _load(self, bundle: Bundle) -> Segmenter:
        name_or_path = bundle.name if bundle.has_card and bundle.name in list_bundles() else bundle.folder
        if not bundle.has_card:
            name_or_path = bundle.network.onnx_path
        return load(
            name_or_path,
            hint="latency",
            backend=self._backend,
            precision=self._precision,
            supply=EnginesOnDemand(),
        )


def _facts(bundle: Bundle) -> dict[str, Any]:
    effects = effects_for_model(bundle)
    return {
        "name": bundle.name,
        "task": bundle.task,
        "description": bundle.description,
        "classes": list(bundle.classes),
        "palette": ["#{:02x}{:02x}{:02x}".format(*color) for color in bundle.palette],
        "effects": list(effects),
        "default_effect": effects[0],
    }
