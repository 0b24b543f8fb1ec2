"""PyTorch: for CUDA machines without TensorRT, and as the reference that any machine can run.

Imports torch when an engine is loaded, not before, so that choosing a backend stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rtseg.backends.base import BackendInfo, EngineRequest
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.device_facts import GpuFacts, gpu_facts, require_cuda_torch, torch_build
from rtseg.errors import BackendUnavailable, ConfigError, EngineError
from rtseg.stats import machine_facts

if TYPE_CHECKING:
    from torch import nn

    from rtseg.backends.device import DeviceEngine
    from rtseg.backends.device_runtime import DeviceRuntime

_PRECISIONS: Final = {"cuda": ("fp16", "bf16", "fp32"), "cpu": ("fp32", "bf16")}
"""By kind of device, the one that `auto` takes first."""


class TorchBackend(DeviceBackend):
    """The network's own definition with the weights of its ONNX file."""

    name: ClassVar[str] = "torch"
    runs_int8_files: ClassVar[bool] = False

    @classmethod
    def probe(cls) -> str:
        """Return version and device; on a machine without a GPU it works on the CPU, for reference."""
        build, facts = torch_build(), gpu_facts()
        if build is None:
            raise BackendUnavailable("backend torch: got no torch; expected it. Run: pip install 'rtseg[cuda]'.")
        if facts is not None and build.cuda is not None:
            require_cuda_torch(cls.name)
            return f"PyTorch {build.version} on {facts}"
        return f"PyTorch {build.version} on the CPU, for reference, as {_why_cpu(facts, build.version)}"

    @classmethod
    def probe_for_auto(cls) -> str:
        """Return the same on a GPU alone: on a CPU OpenVINO is several times as fast."""
        require_cuda_torch(cls.name)
        return cls.probe()

    def _choose_runtime(self, request: EngineRequest) -> DeviceRuntime:
        self.probe()
        try:
            import torch

            from rtseg.backends.device_runtime import CpuRuntime, CudaRuntime
        except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
            raise BackendUnavailable(
                f"backend torch: got {' '.join(str(error).split())}; expected torch to import. "
                "Run: pip install --force-reinstall 'rtseg[cuda]'."
            ) from error
        build = torch_build()
        if gpu_facts() is not None and build is not None and build.cuda is not None:
            return CudaRuntime()
        if request.threads is not None:
            torch.set_num_threads(request.threads)
        return CpuRuntime()

    def _open(self, request: EngineRequest, runtime: DeviceRuntime) -> DeviceEngine:
        from rtseg.backends.torch_engine import TorchEngine

        info = self._info_of(request, runtime)
        return TorchEngine(_module_of(request), request.network, runtime, info, request.batch)

    def _info_of(self, request: EngineRequest, runtime: DeviceRuntime) -> BackendInfo:
        import torch

        kind, facts, version = runtime.device.type, gpu_facts(), torch.__version__
        precision, reason = _choose_precision(request, kind)
        if kind == "cuda" and facts is not None:
            settings = {"driver": facts.device.driver, "compute_capability": facts.device.compute_capability}
            return BackendInfo(self.name, version, facts.device.name, precision, runtime.slots, (reason,), settings)
        processor, why = str(machine_facts()["cpu"]), f"The CPU, as {_why_cpu(facts, version)}."
        settings = {"threads": str(torch.get_num_threads())}
        return BackendInfo(self.name, version, processor, precision, runtime.slots, (why, reason), settings)


def _why_cpu(facts: GpuFacts | None, version: str) -> str:
    if facts is None:
        return "there is no NVIDIA GPU with a driver"
    return f"torch {version} is made without CUDA"


def _choose_precision(request: EngineRequest, kind: str) -> tuple[str, str]:
    """Return the arithmetic and the reason."""
    known = _PRECISIONS[kind]
    if request.precision == "auto":
        why = "the fastest that every GPU does" if kind == "cuda" else "as the reference"
        return known[0], f"{known[0]}, {why}."
    if request.precision in known:
        return request.precision, f"{request.precision}, as asked."
    where = "a GPU" if kind == "cuda" else "the CPU"
    raise ConfigError(
        f"precision: got {request.precision}; expected one of {', '.join(known)} with torch on {where}. Use auto."
    )


def _module_of(request: EngineRequest) -> nn.Module:
    """Return the network's definition with its weights."""
    from torch import nn

    if request.torch_network is None:
        raise EngineError(
            f"backend torch: got {request.model_name}, of which only the ONNX file is known; expected a bundle whose "
            "card names its network ([training.network]). Use --backend openvino or tensorrt."
        )
    module = request.torch_network()
    if not isinstance(module, nn.Module):
        raise EngineError(f"backend torch: got {module!r}; expected a torch module. Please report this.")
    return module
