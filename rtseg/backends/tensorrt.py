"""TensorRT, either flavour: an engine of the user's cache, run on the GPU.

Imports torch and TensorRT when an engine is loaded, not before, so that choosing a backend stays quick.

Note [Who builds]
    The builder lies above the backends, so nothing here can call it. A backend that lacks an engine asks the `supply`
    that it was made with; without one it raises EngineMissing, which says why and names the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Self

from rtseg.backends.base import BackendInfo, EngineRequest
from rtseg.backends.base import EngineSupply as EngineSupply
from rtseg.backends.device_backend import DeviceBackend
from rtseg.backends.device_facts import driver_too_old, require_cuda_torch, require_gpu
from rtseg.cuda_device import CudaDevice, current_device
from rtseg.engine_files.cache import CachedEngine, EngineCache
from rtseg.engine_files.key import EngineForm, EngineKey, EnginePrecision, engine_key
from rtseg.errors import BackendUnavailable, ConfigError, EngineError
from rtseg.stats import package_version
from rtseg.tensorrt_flavour import Flavour, load_flavour

if TYPE_CHECKING:
    from rtseg.backends.device import DeviceEngine
    from rtseg.backends.device_runtime import DeviceRuntime

_FORMS: Final[tuple[EngineForm, ...]] = ("planes", "masks", "bytes")
"""What serves here, the one that the CUDA slots can share first."""
_PRECISIONS: Final[dict[str, EnginePrecision]] = {"auto": "fp16", "fp16": "fp16", "int8": "int8", "fp32": "fp32"}


class EngineMissing(EngineError):
    """No engine was built yet for this model, this machine and these versions."""

    def __init__(self, reason: str, command: str, key: EngineKey) -> None:
        super().__init__(f"backend tensorrt: got {reason}; expected an engine for this machine. Run: {command}.")
        self.reason = reason
        """Why there is none, in one line."""
        self.command = command
        """What builds it."""
        self.key = key
        """What it is to be built for."""


class EngineUnproved(EngineError):
    """An engine that was never held against the ONNX file on this GPU."""


class TensorRTBackend(DeviceBackend):
    """An engine from the cache.

    Args:
        supply: builds and proves engines; None: what is missing is an error that names the command.
        may_build: False: the supply only proves.
        cache: where engines are; None: the user's.
        accept_unproved: also run an engine that the parity gate has not seen here; for the gate itself.
    """

    name: ClassVar[str] = "tensorrt"

    def __init__(
        self,
        supply: EngineSupply | None = None,
        *,
        may_build: bool = True,
        cache: EngineCache | None = None,
        accept_unproved: bool = False,
    ) -> None:
        super().__init__()
        self._supply = supply
        self._may_build = may_build
        self._cache = cache or EngineCache()
        self._accept_unproved = accept_unproved

    @classmethod
    def made_with(cls, supply: EngineSupply | None, *, may_build: bool) -> Self:
        """Return a new one that asks the supply."""
        return cls(supply, may_build=may_build)

    @classmethod
    def probe(cls) -> str:
        """Return flavour, version and GPU; looks at the GPU first, as most machines have none."""
        facts = require_gpu(cls.name)
        require_cuda_torch(cls.name)
        flavour = load_flavour()
        _check_gpu(flavour, facts.device)
        cuda = _cuda_of(flavour)
        if cuda is not None and cuda > facts.cuda[0]:
            raise BackendUnavailable(driver_too_old(cls.name, str(flavour), (cuda, 0), facts))
        return f"{flavour} on {facts}"

    def _machine(self) -> tuple[Flavour, CudaDevice]:
        """Return what runs engines here, and on which GPU."""
        return load_flavour(), current_device()

    def _choose_runtime(self, request: EngineRequest) -> DeviceRuntime:
        del request
        self.probe()
        from rtseg.backends.device_runtime import CudaRuntime

        return CudaRuntime()

    def _open(self, request: EngineRequest, runtime: DeviceRuntime) -> DeviceEngine:
        from rtseg.backends.tensorrt_engine import TensorRTEngine

        flavour, device = self._machine()
        precision, reason = _choose_precision(request)
        found, origin = self._find(request, flavour, device, precision)
        engine, proof = self._proved(request, found, device)
        info = BackendInfo(
            name=self.name,
            version=str(flavour),
            device=device.name,
            precision=precision,
            in_flight=runtime.slots,
            reasons=(flavour.reason, reason, origin, proof),
            settings={
                "engine": engine.manifest.key.digest[:12],
                "form": engine.manifest.form,
                "driver": device.driver,
                "compute_capability": device.compute_capability,
            },
        )
        return TensorRTEngine(engine, request.network, flavour, runtime, info)

    def _find(
        self, request: EngineRequest, flavour: Flavour, device: CudaDevice, precision: EnginePrecision
    ) -> tuple[CachedEngine, str]:
        """Return the engine and where it is from; built where it is missing and the supply may."""
        forms: Sequence[EngineForm] = _FORMS[:1] if request.with_scores else _FORMS
        keys = [
            engine_key(request.network, flavour, device, precision=precision, batch=request.batch, form=form)
            for form in forms
        ]
        found = [self._cache.lookup(key) for key in keys]
        for lookup in found:
            if lookup.engine is not None:
                return lookup.engine, f"{lookup.reason[0].upper()}{lookup.reason[1:]}."
        if self._supply is None or not self._may_build:
            raise EngineMissing(found[0].reason, _command(request, precision), keys[0])
        return self._supply.build(request, keys[0], found[0].reason), f"Built now, as there was {found[0].reason}."

    def _proved(self, request: EngineRequest, engine: CachedEngine, device: CudaDevice) -> tuple[CachedEngine, str]:
        """Return the engine with its proof on this GPU, and what the proof says."""
        state = engine.manifest.state_on(device)
        if state == "unproved" and self._supply is not None:
            engine = self._supply.prove(request, engine)
            state = engine.manifest.state_on(device)
        proof = engine.manifest.proof_on(device)
        verdict = "" if proof is None else proof.verdict
        if state == "proved":
            return engine, f"Held against the ONNX file here: {verdict.rstrip('.')}."
        if self._accept_unproved:
            return engine, "Not yet held against the ONNX file, as asked."
        command = _command(request, engine.manifest.key.precision)
        if state == "refused":
            raise EngineError(
                f"backend tensorrt: got an engine of {request.model_name} that differs from its ONNX file ({verdict}); "
                "expected one that agrees. Use another --precision, or --backend openvino."
            )
        raise EngineUnproved(
            f"backend tensorrt: got an engine of {request.model_name} that was never held against its ONNX file on "
            f"{device.name}; expected a proved one. Run: {command}."
        )


def _command(request: EngineRequest, precision: EnginePrecision) -> str:
    """Return the command that builds and proves the engine of a request."""
    batch = f" --batch {request.batch}" if request.batch > 1 else ""
    return f"rtseg build {request.model_name} --backend tensorrt --precision {precision}{batch}"


def _choose_precision(request: EngineRequest) -> tuple[EnginePrecision, str]:
    """Return the arithmetic and the reason."""
    found = _PRECISIONS.get(request.precision)
    if found is None:
        known = ", ".join(name for name in _PRECISIONS if name != "auto")
        raise ConfigError(f"precision: got {request.precision}; expected one of {known} with tensorrt. Use auto.")
    return found, f"{found}, " + ("what every GPU does fastest." if request.precision == "auto" else "as asked.")


def _check_gpu(flavour: Flavour, device: CudaDevice) -> None:
    """Refuse a GPU that the flavour has no kernels for; only one flavour names those it has."""
    named = getattr(flavour.module, "ComputeCapability", None)
    if named is None:
        return
    known = sorted(int(name[2:]) for name in named.__members__ if name.startswith("SM"))
    if int(device.compute_capability.replace(".", "")) not in known:
        listed = ", ".join(f"{number // 10}.{number % 10}" for number in known)
        raise BackendUnavailable(
            f"backend tensorrt: got {device.name} (compute capability {device.compute_capability}); expected one that "
            f"{flavour} has kernels for ({listed}). Run: pip install 'rtseg[tensorrt]'."
        )


def _cuda_of(flavour: Flavour) -> int | None:
    """Return the CUDA major version that the installed flavour is made for, by the name of its package."""
    stem = flavour.name.replace("_", "-")
    return next((major for major in (13, 12, 11) if package_version(f"{stem}-cu{major}")), None)
