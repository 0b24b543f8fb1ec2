"""A bundle: a model on disk with its card, found by name, folder or ONNX file, and verified before it is used."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from rtseg.errors import ConfigError, EngineError
from rtseg.models.card import CARD_NAME, Card, read_card
from rtseg.models.checks import Color, DefaultPrecision, Task
from rtseg.models.onnx_file import PICKLE_SUFFIXES, read_onnx_facts, refuse_what_is_not_onnx
from rtseg.models.options import (
    CardOptions,
    check_class_count,
    chosen_output,
    derived_layout,
    derived_output_layout,
    describe_without_card,
    fixed_size_wh,
    picture_input,
)
from rtseg.network import Layout, NetworkSpec

SHIPPED_PACKAGE: Final = "rtseg_engines"
"""The data package that holds the shipped bundles; `engines/` in the repository."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model: what its card or its user says, checked against the ONNX file."""

    name: str
    """Name of the bundle, or of the ONNX file without its suffix."""
    folder: Path
    """Where it lies."""
    task: Task
    """semantic: class labels; matte: a soft alpha of one subject."""
    network: NetworkSpec
    """What a backend needs to know of the network."""
    classes: tuple[str, ...]
    """Class names; the index is the label."""
    palette: tuple[Color, ...]
    """RGB colour of each class."""
    default_effect: str
    """Effect that suits it when none is asked for."""
    smoothing: bool
    """Whether sessions smooth over time unless told otherwise."""
    edges: bool
    """Whether sessions refine the edges of the mask unless told otherwise."""
    version: str = ""
    """Version of the weights."""
    description: str = ""
    """One or two sentences."""
    licence: str = "not stated"
    """Licence of the weights."""
    intended_use: str = ""
    """What it was made for."""
    limits: str = ""
    """Where it is known to fail."""
    sha256: str = ""
    """SHA-256 of the ONNX file, verified at load."""
    int8_path: Path | None = None
    """A quantised ONNX file, where there is one; verified at load."""
    int8_sha256: str = ""
    """SHA-256 of that file."""
    default_precision: DefaultPrecision = "fp16"
    """Which of the files is used unless told otherwise; fp16 is the float file, in whatever the machine does best."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, licences and recipe, as the card has them."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Measured scores, as the card has them."""
    has_card: bool = True
    """False where the facts came as options."""

    def network_for(self, precision: str) -> NetworkSpec:
        """Return the network's facts with the file for a precision: the quantised one for "int8".

        Raises:
            ConfigError: int8 is asked for and the bundle has no quantised file.
        """
        if precision != "int8":
            return self.network
        if self.int8_path is None:
            raise ConfigError(
                f"precision of {self.name}: got int8; expected a bundle with an int8 file. "
                "Use auto, or make one: rtseg build MODEL --precision int8."
            )
        return replace(self.network, onnx_path=self.int8_path)

    def choose_precision(self, asked: str | None, *, quantised: bool = True) -> tuple[str, tuple[str, ...]]:
        """Return the precision to load, and why where there are several files and none of them was asked for.

        Args:
            asked: by the user; None or "auto": nothing.
            quantised: whether the backend makes anything of an int8 file.
        """
        if asked not in (None, "auto") or self.int8_path is None:
            return asked or "auto", ()
        if not quantised:
            return "auto", ("The float file, as this backend makes nothing of the int8 one.",)
        if self.default_precision == "int8":
            return "int8", ("The int8 file, which the card prefers.",)
        return "auto", ("The float file, which the card prefers to its int8 file.",)

    def sha256_for(self, precision: str) -> str:
        """Return the digest of the file that `network_for` names."""
        return self.int8_sha256 if precision == "int8" else self.sha256

    def torch_network(self) -> object:
        """Return the torch module that the float ONNX file was exported from, with the file's weights; imports torch.

        Raises:
            EngineError: the card names no network, or one that is not the file's.
        """
        from rtseg.models.definition import open_network

        return open_network(self)

    @property
    def precisions(self) -> tuple[DefaultPrecision, ...]:
        """The files there are, the default one first."""
        if self.int8_path is None:
            return ("fp16",)
        return ("int8", "fp16") if self.default_precision == "int8" else ("fp16", "int8")


def list_bundles() -> tuple[str, ...]:
    """Return the names of the shipped bundles, sorted; none of them is read.

    Raises:
        EngineError: the package with the shipped bundles is not installed.
    """
    return tuple(sorted(folder.name for folder in _shipped_folders()))


def load_bundle(name_or_path: str | Path, *, options: CardOptions | None = None) -> Bundle:
    """Return the verified bundle of a shipped name, a folder with a card, or an ONNX file.

    Args:
        name_or_path: "street", "person", a folder that holds `model.toml`, or a `.onnx` file. A file that a card
            beside it names is loaded with that card.
        options: the facts of an ONNX file that has no card.

    Raises:
        ConfigError: there is no such bundle, its card is wrong, or facts are missing.
        EngineError: the model file is unreadable, tampered with, a pickle, or not what its card says.
    """
    options = options or CardOptions()
    path = Path(name_or_path).expanduser()
    shipped = _shipped_folder(str(name_or_path))
    if shipped is not None:
        return _with_card(shipped, options)
    if path.is_dir():
        return _with_card(path, options)
    if path.is_file() or path.suffix.lower() in {".onnx", *PICKLE_SUFFIXES}:
        return _from_file(path, options)
    raise ConfigError(_unknown(str(name_or_path)))


def _from_file(path: Path, options: CardOptions) -> Bundle:
    refuse_what_is_not_onnx(path)
    if not options.given and (path.parent / CARD_NAME).is_file():
        card = read_card(path.parent / CARD_NAME)
        if path.name == card.onnx:
            return _with_card(path.parent, options)
    model = describe_without_card(path, options)
    task: Task = "matte" if model.network.is_matte else "semantic"
    return Bundle(
        name=path.stem,
        folder=path.parent,
        task=task,
        network=model.network,
        classes=model.classes,
        palette=model.palette,
        default_effect=_effect_for(task, model.classes),
        smoothing=task == "matte",
        edges=task == "matte",
        sha256=_sha256_of(path),
        has_card=False,
    )


def _with_card(folder: Path, options: CardOptions) -> Bundle:
    if options.given:
        raise ConfigError(
            f"bundle {folder.name}: got the options {', '.join(options.given)} and a card; expected one of them. "
            "Leave the options out, or name a bare .onnx file elsewhere."
        )
    card = read_card(folder / CARD_NAME)
    onnx_path = _verified(folder / card.onnx, card.sha256)
    int8_path = None
    if card.int8 is not None and card.int8_sha256 is not None:
        int8_path = _verified(folder / card.int8, card.int8_sha256)
    network = _network_of(card, onnx_path)
    return Bundle(
        name=card.name,
        folder=folder,
        task=card.task,
        network=network,
        classes=card.classes,
        palette=card.palette,
        default_effect=card.effect or _effect_for(card.task, card.classes),
        smoothing=card.task == "matte" if card.smoothing is None else card.smoothing,
        edges=card.task == "matte" if card.edges is None else card.edges,
        version=card.version,
        description=card.description,
        licence=card.licence,
        intended_use=card.intended_use,
        limits=card.limits,
        sha256=card.sha256,
        int8_path=int8_path,
        int8_sha256=card.int8_sha256 or "",
        default_precision=card.precision,
        training=card.training,
        scores=card.scores,
    )


def _verified(path: Path, sha256: str) -> Path:
    """Return the path when the file is whole and its digest is the card's."""
    refuse_what_is_not_onnx(path)
    found = _sha256_of(path)
    if found != sha256:
        raise EngineError(
            f"model file {path.name} of bundle {path.parent.name}: got sha256 {found[:12]}…; expected {sha256[:12]}…, "
            "as its card says. Fetch the bundle again; if you changed the file yourself, correct the card."
        )
    if read_onnx_facts(path).external_files:
        raise EngineError(
            f"model file {path.name}: got weights in other files, which the card's sha256 does not cover; "
            "expected them inside. Save the model as one file."
        )
    return path


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _network_of(card: Card, onnx_path: Path) -> NetworkSpec:
    """Return the card's facts as a network, after holding them against the file."""
    facts = read_onnx_facts(onnx_path)
    source = picture_input(facts, onnx_path.name)
    output = chosen_output(facts, card.output_name, onnx_path.name)
    layout = derived_layout(source)
    size_wh = fixed_size_wh(source, card.layout)
    if (layout is not None and layout != card.layout) or (size_wh is not None and size_wh != card.size_wh):
        raise EngineError(
            f"model file {onnx_path.name}: got input {source.shape_text()}; expected {card.layout} of "
            f"{card.size_wh[0]}x{card.size_wh[1]}, as the card says. Correct the card or the file."
        )
    output_layout, planes = card.output_layout, None
    if output.shape is not None and len(output.shape) == 4 and card.output_kind != "labels":
        output_layout = output_layout or derived_output_layout(output.shape, card.size_wh, len(card.classes))
        planes = output.shape[3] if output_layout == "NHWC" else output.shape[1]
    check_class_count(card.name, card.output_kind, planes, card.classes)
    return _checked_task(card, _spec(card, onnx_path, output_layout or "NCHW"))


def _spec(card: Card, onnx_path: Path, output_layout: Layout) -> NetworkSpec:
    return NetworkSpec(
        onnx_path=onnx_path,
        size_wh=card.size_wh,
        class_count=len(card.classes),
        layout=card.layout,
        channel_order=card.channel_order,
        scale=card.scale,
        mean=card.mean,
        std=card.std,
        output_kind=card.output_kind,
        output_layout=output_layout,
        output_name=card.output_name,
    )


def _checked_task(card: Card, network: NetworkSpec) -> NetworkSpec:
    if network.is_matte != (card.task == "matte"):
        raise ConfigError(
            f"card of {card.name}: got task {card.task!r} with output {card.output_kind!r}; "
            "expected matte with alpha or a two-class probability, semantic with the rest. Correct one of them."
        )
    return network


def _effect_for(task: Task, classes: tuple[str, ...]) -> str:
    if task == "matte":
        return "blur"
    return "driving" if "road" in classes else "tint"


def _shipped_root() -> Path:
    """Return the folder of the shipped bundles, in a wheel and in an editable install alike."""
    try:
        root = resources.files(SHIPPED_PACKAGE)
    except (ModuleNotFoundError, NotADirectoryError):  # the second: an editable install older than the package
        raise EngineError(
            f"shipped bundles: got no package {SHIPPED_PACKAGE}; expected it beside rtseg. "
            "Install again: pip install --force-reinstall --no-deps rtseg (pip install -e . from a clone)."
        ) from None
    return Path(str(root))


def _shipped_folders() -> Iterator[Path]:
    for folder in _shipped_root().iterdir():
        if (folder / CARD_NAME).is_file():
            yield folder


def _shipped_folder(name: str) -> Path | None:
    """Return the folder of a shipped bundle, None where it is no such name; without the package nothing is shipped."""
    with suppress(EngineError):
        for folder in _shipped_folders():
            if folder.name == name:
                return folder
    return None


def _unknown(text: str) -> str:
    shipped = list_bundles()
    close = difflib.get_close_matches(text, shipped, n=1)
    guess = f"Did you mean {close[0]!r}?" if close else "Check the path, or see rtseg models."
    names = "".join(f"{name}, " for name in shipped)
    return f"model: got {text!r}, no such file or folder; expected {names}a bundle folder or an .onnx file. {guess}"
