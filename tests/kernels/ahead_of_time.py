"""Compiles kernels for a GPU that is not there: to machine code, without running them."""

from __future__ import annotations

from contextlib import contextmanager


class _Hopper:
    """A driver that names a GPU and has none."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_active_torch_device(self):
        import torch

        return torch.device("cpu")

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=0):
        return 0


@contextmanager
def compiled_for_sm_90():
    """Yield a dictionary that gets the machine code of every kernel launched, by name; none is run."""
    import torch
    import triton

    from rtseg.kernels import launch

    plain, check_device = triton.runtime.JITFunction.run, launch.check_device
    compiled = {}

    def compile_only(self, *args, grid, warmup, **options):
        compiled[self.__name__] = plain(self, *args, grid=grid, warmup=True, **options).asm["cubin"]

    triton.runtime.driver.set_active(_Hopper())
    triton.runtime.JITFunction.run = compile_only
    launch.check_device = lambda device: torch.device("cpu")
    try:
        yield compiled
    finally:
        triton.runtime.JITFunction.run, launch.check_device = plain, check_device
