"""Everything that an engine depends on: two engines with the same key are interchangeable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from rtseg.cuda_device import NO_DEVICE, CudaDevice
from rtseg.errors import ConfigError
from rtseg.network import NetworkSpec
from rtseg.tensorrt_flavour import Flavour

EngineForm = Literal["planes", "masks", "bytes"]
"""planes: normalised float [N, 3, H, W] in the network's channel order in; the network's own output (logits, matte)
out, in float and in the network's layout, for kernels that do the rest.
masks: the same in; labels uint8 [N, H, W] or a matte, float [N, H, W], out: the argmax is in the engine.
bytes: RGB bytes uint8 [N, H, W, 3] in; labels or a matte 0..255, uint8 [N, H, W], out: normalisation, too."""
EnginePrecision = Literal["fp16", "int8", "fp32"]
FORMS: Final[tuple[EngineForm, ...]] = ("planes", "masks", "bytes")
PRECISIONS: Final[tuple[EnginePrecision, ...]] = ("fp16", "int8", "fp32")
DIGEST_LENGTH: Final = 32
GRAPH_REVISION: Final = 2
"""Of what the builder does to a network before TensorRT sees it; raised with each change, so engines are rebuilt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """What an engine was, or is to be, built from and for."""

    model: str
    """Name of the model, for people; the one field that is not part of the digest."""
    model_sha256: str
    """Of the ONNX file that it is built from."""
    network: str
    """Digest of what the card says of the network: layout, normalisation, output."""
    size_wh: tuple[int, int]
    """Input width and height in pixels."""
    batch: int
    """Pictures in one call."""
    precision: EnginePrecision
    form: EngineForm
    """What goes in and comes out; see `EngineForm`."""
    flavour: str
    flavour_version: str
    gpu: str
    """Name of the GPU; "none": built ahead without one."""
    compute_capability: str
    driver: str
    options: tuple[tuple[str, str], ...] = ()
    """Builder options by name, sorted."""
    graph_revision: int = GRAPH_REVISION
    """See `GRAPH_REVISION`."""

    @property
    def digest(self) -> str:
        """Names the engine in the cache, `DIGEST_LENGTH` hexadecimal digits."""
        facts = asdict(self)
        del facts["model"]
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]

    def differences(self, other: EngineKey) -> tuple[str, ...]:
        """Return what this key has and the other has not, a phrase a field, in the order of `fields`."""
        return tuple(
            _difference(field.name, getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
            if field.name != "model" and getattr(self, field.name) != getattr(other, field.name)
        )

    def ahead(self) -> EngineKey:
        """Return the key of the same engine built ahead, without a GPU."""
        none = NO_DEVICE
        return replace(self, gpu=none.name, compute_capability=none.compute_capability, driver=none.driver)

    def to_json(self) -> dict[str, Any]:
        """Return the key as plain values."""
        return {**asdict(self), "size_wh": list(self.size_wh), "options": dict(self.options)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> EngineKey:
        """Return the key of plain values. Raises KeyError, TypeError or ValueError where they are none."""
        width, height = facts["size_wh"]
        options = tuple(sorted((str(name), str(value)) for name, value in facts["options"].items()))
        plain = {field.name: facts[field.name] for field in fields(cls)}
        return cls(**{**plain, "size_wh": (int(width), int(height)), "options": options})


_NAMES: Final = {
    "model_sha256": "model file",
    "network": "the card's facts about the network",
    "size_wh": "size",
    "flavour": "backend",
    "flavour_version": "backend version",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "options": "builder options",
    "graph_revision": "revision of rtseg's builder",
}


def _difference(name: str, wanted: object, found: object) -> str:
    shown = _NAMES.get(name, name)
    if name in ("model_sha256", "network"):
        return f"{shown} changed"
    return f"{shown} {_text(wanted)}, not {_text(found)}"


def _text(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(side, int) for side in value):
        return f"{value[0]}x{value[1]}"
    if isinstance(value, tuple):
        return " ".join(f"{name}={setting}" for name, setting in value) or "none"
    return str(value)


def engine_key(
    network: NetworkSpec,
    flavour: Flavour,
    device: CudaDevice,
    *,
    precision: EnginePrecision,
    model: str | None = None,
    model_sha256: str | None = None,
    batch: int = 1,
    form: EngineForm = "planes",
    options: Mapping[str, str] | None = None,
) -> EngineKey:
    """Return the key of a network's engine; builder and backend ask for it here, so that both mean the same one.

    Args:
        network: with the file of that precision (`Bundle.network_for`) and the size in use.
        flavour: what builds or runs it.
        device: where it is to run; `NO_DEVICE`: built ahead.
        precision: of the engine.
        model: name for people; None: that of the folder.
        model_sha256: of the network's file where it is known; None: it is read.
        batch: pictures in one call.
        form: what goes in and comes out.
        options: builder options.

    Raises:
        ConfigError: precision, form, batch or size that no engine can have.
    """
    _check(network, precision, batch, form)
    path = network.onnx_path
    return EngineKey(
        model=model or path.parent.name or path.stem,
        model_sha256=model_sha256 or _sha256_of(path),
        network=network_digest(network),
        size_wh=network.size_wh,
        batch=batch,
        precision=precision,
        form=form,
        flavour=flavour.name,
        flavour_version=flavour.version,
        options=tuple(sorted((options or {}).items())),
        gpu=device.name,
        compute_capability=device.compute_capability,
        driver=device.driver,
    )


def _check(network: NetworkSpec, precision: str, batch: int, form: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(f"engine precision: got {precision!r}; expected one of {', '.join(PRECISIONS)}. Use fp16.")
    if form not in FORMS:
        raise ConfigError(f"engine form: got {form!r}; expected one of {', '.join(FORMS)}. Use planes.")
    if batch < 1:
        raise ConfigError(f"engine batch: got {batch}; expected at least 1. Leave it out for 1.")
    if min(network.size_wh) < 1:
        raise ConfigError(f"engine size: got {network.size_wh}; expected at least one pixel. Leave it out.")


def network_digest(network: NetworkSpec) -> str:
    """Return a digest of what a card says of a network, its file and size apart, 16 hexadecimal digits."""
    facts = asdict(network)
    del facts["onnx_path"], facts["size_wh"]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
