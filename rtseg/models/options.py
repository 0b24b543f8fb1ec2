"""The facts of an ONNX file without a card: what its user says, what the file says, and what nobody says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rtseg.errors import ConfigError, EngineError
from rtseg.models.checks import (
    CHANNEL_ORDERS,
    LAYOUTS,
    MOST_CLASSES,
    OUTPUT_KINDS,
    Color,
    check_classes,
    check_input_size_wh,
    check_palette,
    check_scale,
    check_triple,
    choose,
    nearest,
)
from rtseg.models.onnx_file import OnnxFacts, TensorFacts, read_onnx_facts
from rtseg.models.presets import PRESETS, generated_palette
from rtseg.network import Layout, NetworkSpec, OutputKind


@dataclass(frozen=True, slots=True)
class CardOptions:
    """The facts that a card would state, given by the user; None: not said."""

    size_wh: tuple[int, int] | None = None
    """Input width and height in pixels; read from the file where it is fixed there."""
    layout: str | None = None
    """NCHW or NHWC; read from the file where 3 channels tell."""
    channel_order: str | None = None
    """RGB or BGR."""
    scale: float | None = None
    """The byte is multiplied by this first …"""
    mean: Sequence[float] | None = None
    """… then this is subtracted …"""
    std: Sequence[float] | None = None
    """… and the rest divided by this."""
    output_kind: str | None = None
    """logits, labels, probability or alpha; an integer output is labels."""
    output_layout: str | None = None
    """NCHW or NHWC; read from the file where the shapes tell."""
    output_name: str | None = None
    """Which output to use; None: the first."""
    classes: Sequence[str] | str | int | None = None
    """Class names; or "cityscapes"; or "a,b,c"; or only their number."""
    palette: Sequence[object] | None = None
    """One colour a class, "#rrggbb" or (r, g, b); None: generated."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that were given."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) is not None)


@dataclass(frozen=True, slots=True)
class CardlessModel:
    """An ONNX file whose facts are all known."""

    network: NetworkSpec
    """What the backend needs."""
    classes: tuple[str, ...]
    """Class names."""
    palette: tuple[Color, ...]
    """RGB colour of each class."""


_HINTS = {
    "size_wh": "size_wh=(width, height)",
    "layout": 'layout="NCHW" or "NHWC"',
    "channel_order": 'channel_order="RGB" or "BGR"',
    "scale": "scale=1/255 (or 1 for a network fed with 0..255)",
    "mean": "mean=(0.485, 0.456, 0.406) for ImageNet's, (0, 0, 0) for none",
    "std": "std=(0.229, 0.224, 0.225) for ImageNet's, (1, 1, 1) for none",
    "output_kind": 'output_kind="logits", "labels", "probability" or "alpha"',
    "output_layout": 'output_layout="NCHW" or "NHWC"',
    "classes": 'classes=("name", …), their number, or "cityscapes"',
}


def describe_without_card(onnx_path: Path, options: CardOptions) -> CardlessModel:
    """Return the facts of an ONNX file from its own header and the options.

    Raises:
        EngineError: the file is no usable ONNX file, or no segmentation network of one picture.
        ConfigError: an option is wrong or against the file, or facts are missing; all missing ones are named at once.
    """
    facts = read_onnx_facts(onnx_path)
    source = picture_input(facts, onnx_path.name)
    output = chosen_output(facts, options.output_name, onnx_path.name)
    layout = derived_layout(source) if options.layout is None else choose(options.layout, LAYOUTS, what="layout")
    size_wh = _size_wh(source, layout, options.size_wh)
    kind = _output_kind(output, options.output_kind)
    named, colors = _classes(options.classes)
    output_layout, count = _output_facts(output, kind, size_wh, options.output_layout, named)
    named = named or _matte_classes(kind, count)
    _require(onnx_path, options, size_wh, layout, kind, output_layout, named, count)
    if size_wh is None or layout is None or kind is None or output_layout is None or named is None:
        raise ConfigError(f"model {onnx_path.name}: got too few facts; expected a card's. Please report this.")
    check_class_count(onnx_path.name, kind, count, named)
    palette = options.palette or colors or generated_palette(named)
    network = NetworkSpec(
        onnx_path=onnx_path,
        size_wh=size_wh,
        class_count=len(named),
        layout=layout,
        channel_order=choose(options.channel_order, CHANNEL_ORDERS, what="channel_order"),
        scale=check_scale(options.scale, what="scale"),
        mean=check_triple(options.mean, what="mean"),
        std=check_triple(options.std, what="std", positive=True),
        output_kind=kind,
        output_layout=output_layout,
        output_name=options.output_name,
    )
    return CardlessModel(network, named, check_palette(palette, len(named), what="palette"))


def _require(
    onnx_path: Path,
    options: CardOptions,
    size_wh: tuple[int, int] | None,
    layout: Layout | None,
    kind: OutputKind | None,
    output_layout: Layout | None,
    classes: tuple[str, ...] | None,
    count: int | None,
) -> None:
    """Raise one ConfigError that names every fact nobody said."""
    known = {
        "size_wh": size_wh,
        "layout": layout,
        "channel_order": options.channel_order,
        "scale": options.scale,
        "mean": options.mean,
        "std": options.std,
        "output_kind": kind,
        "output_layout": output_layout,
        "classes": classes,
    }
    missing = [name for name, value in known.items() if value is None]
    if "output_kind" in missing and "output_layout" in missing and options.output_layout is None:
        missing.remove("output_layout")  # may follow from the kind
    if "output_kind" in missing and "classes" in missing and count in (1, 2):
        missing.remove("classes")  # a matte, most likely, whose two classes need no names
    if not missing:
        return
    counted = f" (the file has {count} of them)" if "classes" in missing and count else ""
    raise ConfigError(
        f"model {onnx_path.name}: got no card and no {', '.join(missing)}{counted}; expected these facts. "
        f"Give {'; '.join(_HINTS[name] for name in missing)}."
    )


def picture_input(facts: OnnxFacts, file_name: str) -> TensorFacts:
    """Return the one input of a network, or raise EngineError when it takes no single 3-channel picture."""
    source = facts.inputs[0]
    fits = len(facts.inputs) == 1
    if source.shape is not None:
        sides = source.shape
        fits = fits and len(sides) == 4 and sides[0] in (1, None) and (3 in (sides[1], sides[3]) or None in sides[1:])
    if not fits:
        described = "; ".join(f"{item.name} {item.shape_text()}" for item in facts.inputs)
        raise EngineError(
            f"model file {file_name}: got input {described}; expected one picture of 3 channels, batch 1. "
            "Export the network for a single RGB picture."
        )
    return source


def chosen_output(facts: OnnxFacts, name: str | None, file_name: str) -> TensorFacts:
    """Return the named output, or the first."""
    if name is None:
        return facts.outputs[0]
    for output in facts.outputs:
        if output.name == name:
            return output
    names = tuple(output.name for output in facts.outputs)
    raise ConfigError(f"output of {file_name}: got {name!r}; {nearest(name, names)}")


def derived_layout(source: TensorFacts) -> Layout | None:
    """Return the input's layout where exactly one of the two axes has 3 channels."""
    if source.shape is None or len(source.shape) != 4:
        return None
    first, last = source.shape[1] == 3, source.shape[3] == 3
    if first == last:
        return None
    return "NCHW" if first else "NHWC"


def fixed_size_wh(source: TensorFacts, layout: Layout | None) -> tuple[int, int] | None:
    """Return the input's width and height where the file fixes both."""
    if source.shape is None or layout is None:
        return None
    height, width = source.shape[2:4] if layout == "NCHW" else source.shape[1:3]
    return None if width is None or height is None else (width, height)


def _size_wh(source: TensorFacts, layout: Layout | None, said: object) -> tuple[int, int] | None:
    fixed = fixed_size_wh(source, layout)
    if said is None:
        return fixed
    size_wh = check_input_size_wh(said, what="size_wh")
    if fixed is not None and fixed != size_wh:
        raise ConfigError(
            f"size_wh: got {size_wh[0]}x{size_wh[1]}; expected {fixed[0]}x{fixed[1]}, which the file fixes. "
            "Leave it out, or export the network with that size."
        )
    return size_wh


def _output_kind(output: TensorFacts, said: str | None) -> OutputKind | None:
    if said is not None:
        return choose(said, OUTPUT_KINDS, what="output_kind")
    return "labels" if output.is_integer else None


def _classes(said: Sequence[str] | str | int | None) -> tuple[tuple[str, ...] | None, tuple[Color, ...] | None]:
    """Return the class names and, for a known list, its colours."""
    if said is None:
        return None, None
    if isinstance(said, int):
        if not 1 <= said <= MOST_CLASSES:
            raise ConfigError(f"classes: got {said}; expected 1 to {MOST_CLASSES}. Correct the number.")
        return tuple(f"class {index}" for index in range(said)), None
    if isinstance(said, str) and said.lower() in PRESETS:
        preset = PRESETS[said.lower()]
        return tuple(preset), tuple(preset.values())
    names = [name.strip() for name in said.split(",")] if isinstance(said, str) else list(said)
    return check_classes(names, what="classes"), None


def _matte_classes(kind: OutputKind | None, count: int | None) -> tuple[str, ...] | None:
    """Return the two classes of a matte, which need no telling."""
    if kind == "alpha" or (kind == "probability" and count is not None and count <= 2):
        return "background", "foreground"
    return None


def _output_facts(
    output: TensorFacts,
    kind: OutputKind | None,
    size_wh: tuple[int, int] | None,
    said: str | None,
    classes: tuple[str, ...] | None,
) -> tuple[Layout | None, int | None]:
    """Return the output's layout and number of planes, each None where it cannot be told."""
    layout = None if said is None else choose(said, LAYOUTS, what="output_layout")
    if kind == "labels" or (output.shape is not None and len(output.shape) < 4):
        return layout or "NCHW", None if kind == "labels" else 1
    if output.shape is None or len(output.shape) != 4:
        return layout, None
    layout = layout or derived_output_layout(output.shape, size_wh, None if classes is None else len(classes))
    if layout is None:
        return None, None
    return layout, output.shape[1] if layout == "NCHW" else output.shape[3]


def derived_output_layout(
    shape: tuple[int | None, ...], size_wh: tuple[int, int] | None, class_count: int | None
) -> Layout | None:
    """Return the layout of a [1, ?, ?, ?] output, None where both readings fit as well as each other.

    The shape of the picture decides; where it does not, the number of planes does.
    """
    readings: tuple[tuple[Layout, int | None, tuple[int | None, ...]], ...] = (
        ("NCHW", shape[1], shape[2:4]),
        ("NHWC", shape[3], shape[1:3]),
    )
    fits = {layout: planes for layout, planes, (height, width) in readings if _same_aspect(width, height, size_wh)}
    if len(fits) != 1:
        fits = {layout: planes for layout, planes in fits.items() if planes in (class_count or 1, 1)}
    return next(iter(fits)) if len(fits) == 1 else None


def _same_aspect(width: int | None, height: int | None, size_wh: tuple[int, int] | None) -> bool:
    """True unless the two sizes are known and of clearly different shape."""
    if width is None or height is None or size_wh is None:
        return True
    return abs(width * size_wh[1] - height * size_wh[0]) <= max(size_wh)


def check_class_count(what: str, kind: OutputKind, planes: int | None, classes: tuple[str, ...]) -> None:
    """Raise ConfigError when the file's planes and the class names do not agree."""
    is_matte = kind == "alpha" or (kind == "probability" and (planes is None or planes <= 2) and len(classes) <= 2)
    if is_matte:
        if len(classes) != 2 or planes not in (None, 1, 2):
            raise ConfigError(
                f"model {what}: got {len(classes)} classes and {planes} planes for a matte; "
                "expected 2 classes and 1 or 2 planes. Correct the classes or the output kind."
            )
    elif kind != "labels" and planes is not None and planes != len(classes):
        raise ConfigError(
            f"model {what}: got {len(classes)} class names; expected {planes}, one a plane of the output. "
            "Correct the classes or the output kind."
        )
