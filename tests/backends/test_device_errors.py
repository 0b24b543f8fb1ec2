"""What CUDA and torch say, told in rtseg's errors; the messages are theirs."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `cuda`")

from rtseg.backends.device_errors import DeviceLost, failure_of, inferring, opening, tried_bytes  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, InferenceError  # noqa: E402
from tests.backends.late import LateRuntime  # noqa: E402

pytestmark = pytest.mark.needs_torch

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.12 GiB is "
    "free. Including non-PyTorch memory, this process has 22.50 GiB memory in use."
)
OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"
NO_KERNEL = "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be ..."
ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (OUT_OF_MEMORY, "memory"),
        ("CUDA error: out of memory", "memory"),
        ("Error Code 2: OutOfMemory (Requested size was 5242880 bytes.)", "memory"),
        (OLD_DRIVER, "driver"),
        (NO_KERNEL, "driver"),
        ("CUDA initialization failure with error: 35", "driver"),
        (ILLEGAL, "lost"),
        ("CUDA error: unspecified launch failure", "lost"),
        ("CUDA error: uncorrectable ECC error encountered", "lost"),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", "lost"),
        ("Expected all tensors to be on the same device", "other"),
    ],
)
def test_each_message_is_of_its_kind(message, kind):
    assert failure_of(RuntimeError(message)) == kind


@pytest.mark.parametrize(
    ("message", "count"),
    [(OUT_OF_MEMORY, round(2.5 * 2**30)), ("Tried to allocate 20.00 MiB (GPU 0)", 20 * 2**20), ("no number", None)],
)
def test_the_bytes_that_were_asked_for_are_read(message, count):
    assert tried_bytes(RuntimeError(message)) == count


@pytest.mark.parametrize(
    ("message", "error", "told"),
    [
        (
            OUT_OF_MEMORY,
            EngineError,
            r"got 64\.0 MiB of 64\.0 MiB free on the GPU; expected at least 2\.5 GiB to load it",
        ),
        (OLD_DRIVER, BackendUnavailable, r"too old \(found version 12020\).*Update the NVIDIA driver"),
        (NO_KERNEL, BackendUnavailable, "got CUDA error: no kernel image is available for execution on the device;"),
        (ILLEGAL, BackendUnavailable, r"got a lost device \(CUDA error: an illegal memory access was encountered\)"),
        ("a surprise", EngineError, "got a failure to load it: a surprise"),
    ],
)
def test_opening_an_engine_fails_with_what_was_needed_and_what_there_is(message, error, told):
    with pytest.raises(error, match=told), opening("torch", LateRuntime(), "load it"):
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("message", "error"), [(OUT_OF_MEMORY, InferenceError), (ILLEGAL, DeviceLost), ("a surprise", InferenceError)]
)
def test_a_picture_that_fails_is_an_inference_error(message, error):
    with pytest.raises(error) as failure, inferring("torch", LateRuntime()):
        raise RuntimeError(message)
    assert type(failure.value) is error


def test_rtsegs_own_errors_and_mistakes_in_the_code_pass_unchanged():
    with pytest.raises(ConfigError, match="mine"), opening("torch", LateRuntime(), "load it"):
        raise ConfigError("mine")
    with pytest.raises(KeyError), opening("torch", LateRuntime(), "load it"):
        raise KeyError("a mistake")


def test_a_lost_device_that_cannot_even_tell_its_memory_is_no_second_error():
    class Mute(LateRuntime):
        def memory_bytes(self):
            raise RuntimeError("CUDA error: unknown error")

    with pytest.raises(EngineError, match="got too little memory on the GPU"), opening("torch", Mute(), "load it"):
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)
