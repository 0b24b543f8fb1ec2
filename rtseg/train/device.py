"""Where a run computes and in which precision: the same code on a CPU and on one GPU."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from rtseg.builder.cards import IMAGENET_MEAN, IMAGENET_STD
from rtseg.errors import BackendUnavailable, ConfigError
from rtseg.models.checks import nearest
from rtseg.train.depthwise import quicken

DEVICES: Final = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Device:
    """A device with the precision of its arithmetic; weights and sums are fp32 in any case."""

    torch: torch.device
    bf16: bool
    """True: convolutions in bf16. It has fp32's range, so that no loss has to be scaled."""

    @property
    def is_cuda(self) -> bool:
        """True on a GPU."""
        return self.torch.type == "cuda"

    @property
    def text(self) -> str:
        """How it is called in reports."""
        return f"{self.torch.type} {'bf16' if self.bf16 else 'fp32'}"

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the network runs."""
        return torch.autocast(self.torch.type, torch.bfloat16, enabled=self.bf16)

    def placed(self, network: nn.Module) -> nn.Module:
        """Return the network on the device, in the memory order and with the gradients that are quickest there."""
        network = network.to(self.torch)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network if self.is_cuda else quicken(network)


def choose_device(name: str = "auto", *, threads: int = 0) -> Device:
    """Return the device of a name, with bf16 where it computes in it natively.

    Args:
        name: one of `DEVICES`; auto: the GPU where there is one.
        threads: of torch on the CPU, for the whole process; 0 leaves them as they are.

    Raises:
        ConfigError: there is no such name, or the number is negative.
        BackendUnavailable: there is no GPU.
    """
    if name not in DEVICES:
        raise ConfigError(f"device: got {name!r}; {nearest(name, DEVICES)}")
    if threads < 0:
        raise ConfigError(f"threads: got {threads}; expected 1 or more, or 0 for torch's own choice. Correct it.")
    if threads:
        torch.set_num_threads(threads)
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise BackendUnavailable("device cuda: got no NVIDIA GPU that torch can use; expected one. Use --device cpu.")
    if has_gpu and name != "cpu":
        return Device(torch.device("cuda"), torch.cuda.is_bf16_supported())
    return Device(torch.device("cpu"), _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    """Return whether the CPU multiplies bf16 natively; elsewhere it is emulated, slower than fp32."""
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe is not None and probe() for probe in probes)


def normalised(pictures_nhwc: Tensor) -> Tensor:
    """Return uint8 [N, H, W, 3] as float32 [N, 3, H, W] in channels-last order, with ImageNet's mean and deviation."""
    mean, std = _statistics(pictures_nhwc.device)
    return ((pictures_nhwc.float() - mean) / std).permute(0, 3, 1, 2)


@functools.cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of bytes on a device, where they stay: a copy a step would wait for the device."""
    mean, std = (torch.tensor(values) * 255 for values in (IMAGENET_MEAN, IMAGENET_STD))
    return mean.to(device), std.to(device)
