"""The two flavours of TensorRT, which have one API: found here, imported nowhere else by name.

`tensorrt` is the one for data centres: its builder times kernels on the GPU at hand. `tensorrt_rtx` builds ahead of
time with no GPU present and compiles kernels when an engine is first run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal

from rtseg.errors import BackendUnavailable

FlavourName = Literal["tensorrt", "tensorrt_rtx"]

PREFERENCE: Final[tuple[FlavourName, ...]] = ("tensorrt", "tensorrt_rtx")
"""The first that can be imported is taken."""
INSTALL: Final = "pip install 'rtseg[tensorrt-rtx]' (or 'rtseg[tensorrt]' in a data centre)"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One installed flavour."""

    name: FlavourName
    version: str
    """Of the library, such as "1.7.1.116"; a plan belongs to exactly one."""
    module: Any
    """The imported package; it has no type stubs."""
    reason: str
    """Why this one, in one sentence."""

    @property
    def builds_without_gpu(self) -> bool:
        """True where engines are built ahead of time, and kernels compiled when an engine is first run."""
        return self.name == "tensorrt_rtx"

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"


@cache
def load_flavour() -> Flavour:
    """Return the flavour in use: `tensorrt` where it can be imported, else `tensorrt_rtx`.

    Raises:
        BackendUnavailable: neither can be; the message has each one's reason and the command that installs one.
    """
    refused = []
    for name in PREFERENCE:
        try:
            module = import_module(name)
        except (ImportError, OSError) as error:  # OSError: the package is there, one of its libraries is not
            refused.append(f"{name}: {' '.join(str(error).split())}")
            continue
        reason = f"{name}, as {refused[0]}." if refused else f"{name}, the first of {', '.join(PREFERENCE)}."
        return Flavour(name, str(module.__version__), module, reason)
    raise BackendUnavailable(f"tensorrt: got {'; '.join(refused)}; expected one of them. Run: {INSTALL}.")
