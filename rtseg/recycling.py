"""Arrays that are used again once nobody holds them any more.

Note [Recycled planes]
    A plane of a frame is a megabyte. Asking the system for a fresh one every frame costs more than drawing on it: each
    of its pages is faulted in and zeroed first. Results are given away, though, and whoever got one may keep it for as
    long as it likes. So an array is used again only when its reference count says that nobody else has it: a view, a
    memory view or a frame that holds it counts as somebody. What is kept longer simply stays with its keeper.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MOST_KEPT: Final = 16
"""Arrays of one shape and type that a recycler remembers; more are made where more are in use, and then forgotten."""

Key = tuple[tuple[int, ...], str]


class Recycler:
    """Gives out arrays, and gives them out again once nobody else holds them; see Note [Recycled planes].

    Threading: `take` from one thread at a time; what was taken may be held and dropped anywhere.
    """

    def __init__(self) -> None:
        self._kept: dict[Key, list[npt.NDArray[Any]]] = {}

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Return an array of this shape and type, with whatever was in it before, that nobody else holds."""
        key = (shape, np.dtype(dtype).char)
        kept = self._kept.setdefault(key, [])
        for index in range(len(kept)):
            if _holders(kept, index) <= _NOBODY:
                return kept[index]
        array = np.empty(shape, dtype)
        if len(kept) < MOST_KEPT:
            kept.append(array)
        return array

    def copy_of(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of an array in one that nobody else holds."""
        taken = self.take(pixels.shape, pixels.dtype)
        np.copyto(taken, pixels)
        return taken


class Scratch:
    """Buffers to work in that are used again from frame to frame, by name, shape and type.

    Only the latest shape of a name is kept, so that one whose shape changes all the time does not pile up.
    Lifetime: a buffer is valid until the next `get` of the same name.
    Threading: one thread at a time.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, npt.NDArray[Any]] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Return a buffer of this shape and type with whatever it held before."""
        size = math.prod(shape)
        block = self._blocks.get(name)
        if block is None or block.size < size or block.dtype != dtype:
            block = self._blocks[name] = np.empty(size, dtype)
        return block[:size].reshape(shape)


def _holders(arrays: Sequence[npt.NDArray[Any]], index: int) -> int:
    return sys.getrefcount(arrays[index])


_NOBODY: Final = _holders([np.empty(1, np.uint8)], 0)
"""What the count says of an array that only its list holds; measured, as interpreters count differently."""
