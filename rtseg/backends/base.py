"""The contract of a backend: the runtime that executes an engine.

Bytes in, bytes out: a backend takes the picture at network size as uint8 and gives labels or alpha as uint8.
Normalisation, layout, argmax and scaling to bytes are done inside it, in the engine's own graph where that is faster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

from rtseg.errors import InferenceError
from rtseg.network import NetworkSpec
from rtseg.types import FloatArray, UInt8Array

if TYPE_CHECKING:
    from rtseg.engine_files.cache import CachedEngine
    from rtseg.engine_files.key import EngineKey

Hint = Literal["latency", "throughput"]
Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What an engine is to be compiled for."""

    network: NetworkSpec
    """The network and its facts."""
    precision: Precision = "auto"
    """Arithmetic; auto: the fastest that the machine does natively and the model allows."""
    hint: Hint = "throughput"
    """latency: one frame as early as possible; throughput: several frames in flight."""
    threads: int | None = None
    """CPU threads for inference; None: all cores."""
    with_scores: bool = False
    """Also give the probability of the winning class."""
    batch: int = 1
    """Pictures in one call of a device's engine; a backend itself takes one at a time."""
    model: str = ""
    """What the user calls the model, for messages and for the command that builds its engine; "": the file's name."""
    torch_network: Callable[[], object] | None = None
    """Returns the torch module that the file was exported from, with the file's weights; None: nobody knows it. Raises
    EngineError where the card does not say."""

    @property
    def model_name(self) -> str:
        """What to call the model."""
        return self.model or self.network.onnx_path.name


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What was chosen, and why; goes into stats and benchmark results."""

    name: str
    """Registered name, such as "openvino"."""
    version: str
    """Version of the runtime."""
    device: str
    """Device in the vendor's words, such as "AMD EPYC …"."""
    precision: str
    """Arithmetic in effect."""
    in_flight: int
    """How many frames may be submitted before the first must be collected."""
    reasons: tuple[str, ...] = ()
    """One plain sentence for each choice that was made automatically."""
    settings: dict[str, str] = field(default_factory=dict)
    """Streams, threads and other settings in effect."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkOutput:
    """What an engine gives for one picture. Lifetime: the arrays are the caller's own."""

    labels: UInt8Array | None = None
    """Class index, uint8 [h, w]; None for a matte."""
    alpha: UInt8Array | None = None
    """Soft matte 0..255, uint8 [h, w]; None for labels."""
    scores: FloatArray | None = None
    """Probability of the winning class, float32 [h, w], where asked for."""
    infer_ns: int | None = None
    """How long the engine itself worked on this picture, where the runtime tells; None where it does not."""


class Pending(Protocol):
    """A picture that was submitted."""

    def result(self) -> NetworkOutput:
        """Wait for the engine and return its output; must be called exactly once, from any thread.

        Raises:
            InferenceError: the engine failed on this picture, or this was called before.
        """


class EngineSupply(Protocol):
    """Makes what a backend lacks. The builder lies above the backends, so they are handed this."""

    def build(self, request: EngineRequest, key: EngineKey, reason: str) -> CachedEngine:
        """Return the engine of a key, built now; `reason` says in one line why there is none."""

    def prove(self, request: EngineRequest, engine: CachedEngine) -> CachedEngine:
        """Run the parity gate on this GPU, and return the engine with what it said."""


class Backend(ABC):
    """A runtime with one engine loaded. Public methods check; subclasses write `_load`, `_submit` and `_close`.

    Threading: `submit` is called by one thread at a time; each result is collected by one thread, at the same time as
    others submit and collect. Both release the GIL while they wait.
    """

    name: ClassVar[str] = "backend"
    runs_int8_files: ClassVar[bool] = True
    """Whether it makes anything of a quantised file; if not, the float file is taken unless int8 is asked for."""

    def __init__(self) -> None:
        self._request: EngineRequest | None = None
        self._info: BackendInfo | None = None

    @classmethod
    def takes_batches(cls) -> bool:
        """Return whether several sources that run at once are better off with one engine for several pictures here."""
        return False

    @classmethod
    def probe(cls) -> str:
        """Return runtime and device in one line where this backend works here; quick, loads no engine.

        Raises:
            BackendUnavailable: it does not work here; the message says why, and the command that mends it.
        """
        return cls.name

    @classmethod
    def probe_for_auto(cls) -> str:
        """Return the same where `auto` may take this backend; one that only serves as a reference here refuses.

        Raises:
            BackendUnavailable: it does not work here, or others are better here; the message says why.
        """
        return cls.probe()

    @classmethod
    def made_with(cls, supply: EngineSupply | None, *, may_build: bool) -> Self:
        """Return a new one.

        Args:
            supply: for a backend that needs engines built and proved; others make nothing of it.
            may_build: False: it may prove an engine, which takes seconds, but not build one, which may take minutes.
        """
        del supply, may_build
        return cls()

    def load(self, request: EngineRequest) -> BackendInfo:
        """Compile or open the engine; may take seconds.

        Raises:
            EngineError: the network cannot be read or is not what the request says.
            BackendUnavailable: the runtime is not installed or does not run here.
        """
        if self._request is not None:
            raise InferenceError(f"{self.name}: got load() twice; expected one engine a backend. Make a new backend.")
        self._info = self._load(request)
        self._request = request
        return self._info

    @property
    def info(self) -> BackendInfo:
        """What was chosen and why. Raises InferenceError before `load`."""
        if self._info is None:
            raise InferenceError(f"{self.name}: got a use before load() or after close(); expected a loaded engine.")
        return self._info

    def submit(self, picture: UInt8Array) -> Pending:
        """Start inference of one rgb uint8 [h, w, 3] picture at network size; at most `info.in_flight` at once.

        Lifetime: the picture may be changed once this returns.
        """
        info = self.info
        if self._request is None:
            raise InferenceError(f"{info.name}: got submit() before load(); expected a loaded engine.")
        width, height = self._request.network.size_wh
        if picture.shape != (height, width, 3) or picture.dtype.name != "uint8":
            raise InferenceError(
                f"{info.name}: got a picture {picture.shape} {picture.dtype}; expected ({height}, {width}, 3) uint8. "
                "Resize it to the network's size first."
            )
        return self._submit(picture)

    def infer(self, picture: UInt8Array) -> NetworkOutput:
        """Run one rgb uint8 [h, w, 3] picture and wait for it."""
        return self.submit(picture).result()

    def close(self) -> None:
        """Release the engine; idempotent. What is in flight is waited for."""
        if self._request is not None:
            self._request = None
            self._info = None
            self._close()

    @abstractmethod
    def _load(self, request: EngineRequest) -> BackendInfo: ...

    @abstractmethod
    def _submit(self, picture: UInt8Array) -> Pending: ...

    @abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
