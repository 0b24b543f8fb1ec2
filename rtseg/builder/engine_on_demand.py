"""Engines for whoever loads a model: the builder is imported only when a backend really lacks something.

What `rtseg.run` and the command line hand to `rtseg.segmenter.load`; see Note [Who builds] in rtseg.backends.tensorrt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rtseg.backends.base import EngineRequest
from rtseg.engine_files.cache import CachedEngine
from rtseg.engine_files.key import EngineKey
from rtseg.errors import BackendUnavailable

if TYPE_CHECKING:
    from rtseg.builder.engine_supply import CacheSupply


class EnginesOnDemand:
    """Builds into the user's cache what is missing there, and runs the parity gate on what was not proved here.

    Args:
        on_note: told in one line what is about to take a while, and why.
    """

    def __init__(self, on_note: Callable[[str], None] | None = None) -> None:
        self._on_note = on_note

    def build(self, request: EngineRequest, key: EngineKey, reason: str) -> CachedEngine:
        """Return the engine of a key, built now; `reason` says in one line why there is none.

        Raises:
            BackendUnavailable: what building needs is not installed.
            EngineError: it cannot be built.
        """
        return self._supply().build(request, key, reason)

    def prove(self, request: EngineRequest, engine: CachedEngine) -> CachedEngine:
        """Run the parity gate on this GPU, and return the engine with what it said.

        Raises:
            BackendUnavailable: what the gate needs is not installed.
            EngineError: the engine does not run, or its float network does not.
        """
        return self._supply().prove(request, engine)

    def _supply(self) -> CacheSupply:
        try:
            from rtseg.builder.engine_supply import CacheSupply
        except ImportError as error:
            raise BackendUnavailable(
                f"engines: got {error}; expected what building and proving need. Run: pip install 'rtseg[train]'."
            ) from error
        return CacheSupply(on_note=self._on_note)
