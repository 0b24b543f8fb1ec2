"""What is known of an engine: its key, its tensors, its digest, how it was built and where it was proved.

Note [Seal]
    An engine is code. Its manifest holds the SHA-256 of the plan and is itself sealed: an HMAC under a random key that
    lies in the cache folder, readable by the user alone. So a truncated file, an edited manifest ("proved": true) and
    an engine folder brought from elsewhere are all noticed. Whoever can read the user's own files can forge the seal;
    against that there is only the 0700 of the folder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from rtseg.cuda_device import CudaDevice
from rtseg.engine_files.key import EngineForm, EngineKey
from rtseg.errors import EngineError

FORMAT: Final = 2
"""Of the manifest."""
SEAL: Final = "seal"
TensorRole = Literal["picture", "planes", "labels", "alpha", "logits", "probability", "scores"]


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One input or output of an engine."""

    name: str
    """To give to `set_tensor_address`."""
    role: TensorRole
    """picture: RGB bytes; planes: normalised channels; labels: class indices; alpha: a matte, 0..255 as uint8, 0..1
    as float; logits, probability: a plane a class (of a matte: its planes, the last is the subject's)."""
    dtype: str
    """numpy's name: uint8, float16, float32 …"""
    shape: tuple[int, ...]
    """Fixed, batch first."""
    layout: str
    """What the axes are: NHWC, NCHW or NHW."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the parity gate said of an engine on one device."""

    device: CudaDevice
    accepted: bool
    verdict: str
    """One line."""
    report: Mapping[str, Any]
    """The whole report, as plain values."""
    date: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineManifest:
    """Everything known of one engine."""

    key: EngineKey
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    built_at: str
    """UTC, ISO 8601."""
    build_seconds: float
    layers: Mapping[str, int]
    """Layers of the parsed network by kind."""
    kept_fp32: tuple[str, ...] = ()
    """Nodes that an fp16 or int8 network computes in fp32."""
    ranges: Mapping[str, Any] = field(default_factory=dict)
    """What was measured of the network's values, and which nodes stay in fp32 for that; of fp16 alone."""
    target: str = ""
    """The compute capability that was built for, in words."""
    warnings: tuple[str, ...] = ()
    """What TensorRT's parser had to say; usually nothing."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Where it was built."""
    plan_sha256: str = ""
    plan_bytes: int = 0
    """Of the serialized engine."""
    runtime_cache_sha256: str | None = None
    """Of the compiled kernels beside it (tensorrt_rtx), once an engine has been run."""
    proofs: tuple[Proof, ...] = ()
    """The last for each device."""

    @property
    def form(self) -> EngineForm:
        """What goes in and comes out."""
        return self.key.form

    def proof_on(self, device: CudaDevice) -> Proof | None:
        """Return what the gate said on this device, None where it has not run there."""
        return next((proof for proof in self.proofs if proof.device == device), None)

    def state_on(self, device: CudaDevice) -> Literal["proved", "refused", "unproved"]:
        """Return where the engine stands on a device."""
        proof = self.proof_on(device)
        if proof is None:
            return "unproved"
        return "proved" if proof.accepted else "refused"

    def with_proof(self, proof: Proof) -> EngineManifest:
        """Return the manifest with the newest proof for a device."""
        kept = tuple(old for old in self.proofs if old.device != proof.device)
        return replace(self, proofs=(*kept, proof))

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **facts,
            "format": FORMAT,
            "key": self.key.to_json(),
            "inputs": [_tensor_json(one) for one in self.inputs],
            "outputs": [_tensor_json(one) for one in self.outputs],
            "layers": dict(self.layers),
            "machine": dict(self.machine),
            "ranges": dict(self.ranges),
            "kept_fp32": list(self.kept_fp32),
            "warnings": list(self.warnings),
            "proofs": [{**asdict(proof), "report": dict(proof.report)} for proof in self.proofs],
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> EngineManifest:
        """Return the manifest of plain values. Raises KeyError, TypeError or ValueError where they are none."""
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}, not {FORMAT}")
        plain = {name: facts[name] for name in cls.__dataclass_fields__}
        return cls(
            **{
                **plain,
                "key": EngineKey.from_json(facts["key"]),
                "inputs": tuple(_tensor(one) for one in facts["inputs"]),
                "outputs": tuple(_tensor(one) for one in facts["outputs"]),
                "kept_fp32": tuple(facts["kept_fp32"]),
                "warnings": tuple(facts["warnings"]),
                "proofs": tuple(Proof(**{**one, "device": CudaDevice(**one["device"])}) for one in facts["proofs"]),
            }
        )


def _tensor_json(tensor: TensorFacts) -> dict[str, Any]:
    return {**asdict(tensor), "shape": list(tensor.shape)}


def _tensor(facts: Mapping[str, Any]) -> TensorFacts:
    return TensorFacts(**{**facts, "shape": tuple(int(side) for side in facts["shape"])})


def sealed_text(manifest: EngineManifest, secret: bytes) -> str:
    """Return the manifest as JSON text with its seal. See Note [Seal]."""
    facts = manifest.to_json()
    return json.dumps({**facts, SEAL: _seal(facts, secret)}, indent=2) + "\n"


def read_sealed(text: str, secret: bytes) -> EngineManifest:
    """Return the manifest of a text.

    Raises:
        EngineError: it is no manifest, or its seal is not the one that this cache gives.
    """
    try:
        facts = json.loads(text)
        seal = facts.pop(SEAL)
        if not hmac.compare_digest(str(seal), _seal(facts, secret)):
            raise EngineError("engine manifest: got a broken seal; expected it as rtseg wrote it. Build it again.")
        return EngineManifest.from_json(facts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__} {error}"
        raise EngineError(f"engine manifest: got {got}; expected one of this version. Build it again.") from error


def _seal(facts: Mapping[str, Any], secret: bytes) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
