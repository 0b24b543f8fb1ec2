"""What a device says when it fails, in rtseg's errors: out of memory, lost, a driver too old.

torch and CUDA raise RuntimeError for all of it, so the text has to be looked at; the phrases are those of
`cudaGetErrorString` and of torch's allocator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

from rtseg.backends.device_facts import bytes_text
from rtseg.errors import BackendUnavailable, EngineError, InferenceError, RtsegError

if TYPE_CHECKING:
    from rtseg.backends.device_runtime import DeviceRuntime

Failure = Literal["memory", "lost", "driver", "other"]

_PHRASES: Final[tuple[tuple[Failure, tuple[str, ...]], ...]] = (
    ("memory", ("out of memory", "outofmemory", "failed_allocation", "insufficient gpu memory")),
    (
        "driver",
        (
            "driver version is insufficient",
            "driver on your system is too old",
            "no kernel image is available",
            "unsupported toolchain",
            "forward compatibility was attempted",
            "initialization failure with error: 35",
        ),
    ),
    (
        "lost",
        (
            "illegal memory access",
            "device-side assert",
            "unspecified launch failure",
            "launch timed out",
            "misaligned address",
            "illegal instruction",
            "hardware stack error",
            "uncorrectable",
            "busy or unavailable",
            "device is lost",
            "context is destroyed",
            "no cuda-capable device",
            "unknown error",
        ),
    ),
)
_TRIED: Final = re.compile(r"tried to allocate ([\d.]+) ([KMGT]?i?B)", re.IGNORECASE)
_UNITS: Final = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def failure_of(error: BaseException) -> Failure:
    """Return what kind of failure an error tells of. After "lost" nothing on the device works in this process."""
    text = f"{type(error).__name__} {error}".lower()
    return next((kind for kind, phrases in _PHRASES if any(phrase in text for phrase in phrases)), "other")


def tried_bytes(error: BaseException) -> int | None:
    """Return how many bytes torch's allocator asked for when it failed, where the message says so."""
    found = _TRIED.search(str(error))
    if found is None:
        return None
    return round(float(found.group(1)) * _UNITS.get(found.group(2).lower(), 1))


def first_line(error: BaseException) -> str:
    """Return the first line of a vendor's message, without its advice on debugging."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")[:300]


def memory_text(
    runtime: DeviceRuntime, needed_bytes: int | None, doing: str, found: tuple[int, int] | None = None
) -> str:
    """Return the sentence on too little memory: what is (or was, when it began) free, and what it takes."""
    if found is None:
        with suppress(RuntimeError):  # a lost device does not tell
            found = runtime.memory_bytes()
    free = "too little memory" if found is None else f"{bytes_text(found[0])} of {bytes_text(found[1])} free"
    wanted = "more" if needed_bytes is None else f"at least {bytes_text(needed_bytes)}"
    return (
        f"got {free} on the GPU; expected {wanted} to {doing}. Close other programs that use the GPU, build for a "
        "smaller --size, or use --backend openvino."
    )


@contextmanager
def opening(
    backend: str,
    runtime: DeviceRuntime,
    doing: str,
    needed_bytes: int | None = None,
    before: tuple[int, int] | None = None,
) -> Iterator[None]:
    """Turn what goes wrong while an engine is opened into rtseg's errors.

    Args:
        backend: for the message.
        runtime: asked for its free memory.
        doing: after "to", such as "open the engine".
        needed_bytes: how much memory that takes, where it is known.
        before: what was free, and what there is, when it began; None: as it is now.

    Raises:
        EngineError: not enough memory, or another failure of the runtime.
        BackendUnavailable: the driver or the GPU does not suit, or the device is lost.
    """
    try:
        yield
    except RtsegError:
        raise
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        kind, line = failure_of(error), first_line(error)
        if kind == "memory":
            needed = tried_bytes(error) if needed_bytes is None else needed_bytes
            raise EngineError(f"backend {backend}: {memory_text(runtime, needed, doing, before)}") from error
        if kind == "driver":
            raise BackendUnavailable(
                f"backend {backend}: got {line}; expected a driver and a GPU that the installed version supports. "
                "Update the NVIDIA driver, or use --backend openvino."
            ) from error
        if kind == "lost":
            raise BackendUnavailable(f"backend {backend}: {lost_text(line)}") from error
        raise EngineError(
            f"backend {backend}: got a failure to {doing}: {line}; expected none. Build the engine again, or use "
            "--backend openvino."
        ) from error


@contextmanager
def inferring(backend: str, runtime: DeviceRuntime) -> Iterator[None]:
    """Turn what goes wrong with one picture into InferenceError."""
    try:
        yield
    except RuntimeError as error:
        kind, line = failure_of(error), first_line(error)
        if kind == "memory":
            text = memory_text(runtime, tried_bytes(error), "run the network")
            raise InferenceError(f"backend {backend}: {text}") from error
        if kind == "lost":
            raise DeviceLost(f"backend {backend}: {lost_text(line)}") from error
        raise InferenceError(f"backend {backend}: got a failure on a picture: {line}; expected a mask.") from error


class DeviceLost(InferenceError):
    """The device does not answer any more; nothing on it works in this process."""


def lost_text(line: str) -> str:
    """Return the sentence on a device that is lost."""
    return (
        f"got a lost device ({line}); expected the GPU to answer. Start the program again; if it comes back, look at "
        "nvidia-smi and the system's log for Xid errors, or use --backend openvino."
    )
