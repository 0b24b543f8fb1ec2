"""The kernels against the CPU reference, on random pictures: for a machine with a GPU and one without.

Every check draws with both and returns how far apart they are. The CPU's resizing is held to OpenCV's own fixed point
meanwhile, which is the reference; the quicker routines that the CPU path may use differ from it by a level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import torch

from rtseg import color, preprocess
from rtseg.kernels.cutout import RgbConverter
from rtseg.kernels.masks import AlphaBytes, Labels
from rtseg.kernels.picture import DevicePicture, Layout, PictureFormat
from rtseg.kernels.preprocess import Normalisation, Preprocessor
from rtseg.matte import SNAP
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.compositor_cuda import CudaCompositor
from rtseg.render.effects import parse_effects
from rtseg.render.hud import HudState
from rtseg.render.painter import Shot
from rtseg.render.palette import CITYSCAPES_CLASSES, PERSON_CLASSES, default_palette
from rtseg.render.planes import Canvas, Scratch, resizing
from rtseg.types import Matrix, Picture, Segmentation, UInt8Array, Yuv420

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
LAYOUTS: Final[tuple[Layout, ...]] = ("rgb", "nv12", "i420")
MATRICES: Final[tuple[Matrix, ...]] = ("bt601", "bt709", "bt2020")
EFFECTS: Final[tuple[str, ...]] = (
    "none",
    "tint",
    "driving",
    "outline",
    "outline:color=#ffffff,width=8",
    "blur",
    "replace:#1e90ff",
    "spotlight",
    "spotlight:grey",
    "cutout",
    "cutout:no",
    "tint+blur",
    "blur+driving",
)
"""Stacks of effects that are checked, joined by +."""
WITHIN_ONE: Final[tuple[str, ...]] = ("blur", "cutout")
"""Effects that are sums of floats; all others are exact."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How far a kernel is from its reference."""

    name: str
    """What was checked, on what."""
    worst: float
    """Largest difference, in levels of a byte, or in units in the last place of float16 for network inputs."""
    allowed: float
    """Largest difference that is right."""

    @property
    def passed(self) -> bool:
        """True where they agree."""
        return self.worst <= self.allowed


def check_against_reference(
    device: torch.device | str = "cuda", *, size_wh: tuple[int, int] = (638, 358), mask_wh: tuple[int, int] = (160, 96)
) -> list[CheckResult]:
    """Run every check on a device and return the results, also of those that fail; about half a minute on a GPU."""
    return [check() for check in checks(device, size_wh=size_wh, mask_wh=mask_wh)]


def checks(
    device: torch.device | str, *, size_wh: tuple[int, int], mask_wh: tuple[int, int]
) -> Iterator[Callable[[], CheckResult]]:
    """Return every check, to be called; even `size_wh`, so that one size serves RGB and 4:2:0."""
    odd_wh = (size_wh[0] + 1, size_wh[1] - 1)
    for layout in LAYOUTS:
        for frame_wh in (size_wh, mask_wh, (2, 2)):
            yield partial(check_preprocess, PictureFormat(frame_wh, layout), mask_wh, device=device)
    for frame_wh in (odd_wh, (1, 1), (1, 9)):
        yield partial(check_preprocess, PictureFormat(frame_wh), mask_wh, device=device)
    for matrix in MATRICES:
        for full_range in (False, True):
            held = PictureFormat(size_wh, "nv12", matrix, full_range)
            yield partial(check_preprocess, held, mask_wh, device=device)
            yield partial(check_rgb, held, device=device)
    for logits_wh in (mask_wh, (mask_wh[0] // 4, mask_wh[1] // 4)):
        yield partial(check_labels, logits_wh, mask_wh, device=device)
    yield partial(check_alpha, mask_wh, device=device)
    for effect in EFFECTS:
        for held in (
            PictureFormat(odd_wh),
            PictureFormat(size_wh, "nv12"),
            PictureFormat(size_wh, "i420", "bt601", True),
        ):
            for is_matte in (False, True):
                yield partial(check_effects, effect, held, mask_wh, is_matte=is_matte, device=device)


def check_preprocess(
    frame: PictureFormat, size_wh: tuple[int, int], *, batch: int = 2, device: torch.device | str
) -> CheckResult:
    """Compare the fused preprocess, normalised in float16, with resizing and normalising on the CPU."""
    pictures = [random_picture(frame, seed) for seed in range(batch)]
    normalisation = Normalisation(mean=MEAN, std=STD)
    kernel = Preprocessor(frame, size_wh, normalisation=normalisation, device=device)
    found = kernel.empty_input(batch)
    kernel(device_pictures(pictures, frame, device), found)
    small = np.stack([preprocess.to_network(picture, size_wh).rgb for picture in pictures]).astype(np.float64)
    wanted = ((small * normalisation.scale - np.array(MEAN)) / np.array(STD)).astype(np.float16).transpose(0, 3, 1, 2)
    worst = float(np.abs(_steps(found.cpu().numpy()) - _steps(wanted)).max())
    return CheckResult(f"preprocess {_named(frame)} to {size_wh[0]}x{size_wh[1]}, batch {batch}", worst, 0)


def check_rgb(frame: PictureFormat, *, device: torch.device | str) -> CheckResult:
    """Compare the conversion to RGB with the CPU's."""
    picture = random_picture(frame, 3)
    found = DevicePicture.empty(PictureFormat(frame.size_wh), device=device)
    RgbConverter(frame, device=device)(device_pictures([picture], frame, device), found)
    return CheckResult(f"RGB of {_named(frame)}", worst_difference(host_picture(found), color.to_rgb(picture)), 0)


def check_labels(logits_wh: tuple[int, int], mask_wh: tuple[int, int], *, device: torch.device | str) -> CheckResult:
    """Compare labels with torch's, scaled up where needed; the result is how much more the largest logit is."""
    rng = np.random.default_rng(5)
    logits = torch.from_numpy(rng.normal(0, 4, (2, 19, *logits_wh[::-1])).astype(np.float16))
    found = torch.zeros((2, *mask_wh[::-1]), dtype=torch.uint8, device=device)
    Labels(logits_wh, mask_wh, 19, device=device)(logits.to(device), found)
    large = torch.nn.functional.interpolate(logits.float(), mask_wh[::-1], mode="bilinear", align_corners=False)
    of_found = large.gather(1, found.cpu().long()[:, None])[:, 0]
    worst = float((large.max(dim=1).values - of_found).max())
    name = f"labels from {logits_wh[0]}x{logits_wh[1]} to {mask_wh[0]}x{mask_wh[1]}"
    return CheckResult(name, worst, 0.0 if logits_wh == mask_wh else 1e-4)


def check_alpha(mask_wh: tuple[int, int], *, device: torch.device | str) -> CheckResult:
    """Compare the bytes of a matte with the segmenter's arithmetic."""
    rng = np.random.default_rng(6)
    alpha = rng.uniform(-0.1, 1.1, (2, *mask_wh[::-1])).astype(np.float32)
    found = torch.zeros(alpha.shape, dtype=torch.uint8, device=device)
    AlphaBytes(snap=SNAP, device=device)(torch.from_numpy(alpha).to(device), found)
    levels = np.floor(np.clip(alpha, 0, 1) * np.float32(255) + np.float32(0.5))
    wanted = np.clip(np.rint((levels - SNAP) * 255 / (255 - 2 * SNAP)), 0, 255)
    return CheckResult("bytes of a matte", float(np.abs(found.cpu().numpy() - wanted).max()), 0)


def check_effects(
    effects: str,
    frame: PictureFormat,
    mask_wh: tuple[int, int],
    *,
    is_matte: bool,
    batch: int = 1,
    device: torch.device | str,
) -> CheckResult:
    """Compare a stack of effects, drawn on a random picture with a random mask, with the CPU compositor."""
    pictures = [random_picture(frame, seed) for seed in range(batch)]
    results = [random_result(frame.size_wh, mask_wh, seed, is_matte=is_matte) for seed in range(batch)]
    found = composited_on_device(effects, pictures, results, frame, device=device)
    worst = max(
        worst_difference(picture, composited_on_cpu(effects, own, result))
        for picture, own, result in zip(found, pictures, results, strict=True)
    )
    allowed = 1 if any(name in effects for name in WITHIN_ONE) else 0
    kind = "matte" if is_matte else "labels"
    return CheckResult(f"{effects} on {_named(frame)}, {kind}, batch {batch}", worst, allowed)


def composited_on_device(
    effects: str,
    pictures: Sequence[Picture],
    results: Sequence[Segmentation],
    frame: PictureFormat,
    *,
    device: torch.device | str,
) -> list[Picture]:
    """Return pictures with a stack of effects, names joined by +, drawn by the kernels."""
    classes = results[0].classes
    masks = [result.network_labels if result.network_alpha is None else result.network_alpha for result in results]
    mask = torch.from_numpy(np.stack([plane for plane in masks if plane is not None])).to(device)
    with CudaCompositor(
        parse_effects(effects.split("+"), classes=classes),
        classes=classes,
        palette=default_palette(classes),
        frame=frame,
        mask_wh=results[0].network_size_wh,
        is_matte=results[0].is_matte,
        batch=len(pictures),
        device=device,
    ) as compositor:
        out = DevicePicture.empty(compositor.out_format, batch=len(pictures), device=device)
        slot = compositor.new_slot()
        for index, result in enumerate(results):
            slot.show(0.0, hud=_HUD, shares=result.class_shares(), picture=index)
        slot.composite(device_pictures(pictures, frame, device), mask, out)
    return [host_picture(out, index) for index in range(len(pictures))]


def composited_on_cpu(effects: str, picture: Picture, result: Segmentation) -> Picture:
    """Return a picture with a stack of effects drawn by the CPU's painters, resized by OpenCV's own routines."""
    stack = parse_effects(effects.split("+"), classes=result.classes)
    with CpuCompositor(stack, classes=result.classes, palette=default_palette(result.classes)) as compositor:
        canvas = Canvas(picture, Scratch())
        shot = Shot(result, 0.0, _HUD, Scratch())
        with resizing(quick=False):
            for painter in compositor._painters:
                painter.paint(canvas, shot)
        return canvas.picture()


def random_picture(frame: PictureFormat, seed: int) -> Picture:
    """Return a colourful picture with texture in a format: rgb uint8 [H, W, 3], or 4:2:0 planes."""
    rng = np.random.default_rng(seed)
    width, height = frame.size_wh
    soft = cv2.resize(rng.uniform(0, 255, (4, 6, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    rgb = np.clip(soft + rng.normal(0, 12, soft.shape), 0, 255).astype(np.uint8)
    if not frame.is_yuv:
        return np.asarray(rgb, np.uint8)
    return color.to_yuv420(rgb, matrix=frame.matrix, full_range=frame.full_range)


def random_result(size_wh: tuple[int, int], mask_wh: tuple[int, int], seed: int, *, is_matte: bool) -> Segmentation:
    """Return soft blobs as a matte of a person, or as labels of a street, with empty and with full parts."""
    rng = np.random.default_rng(100 + seed)
    soft = cv2.resize(rng.normal(0, 1, (4, 5)).astype(np.float32), mask_wh, interpolation=cv2.INTER_CUBIC)
    if is_matte:
        alpha = np.clip(127 + 255 * soft, 0, 255).astype(np.uint8)
        return Segmentation(PERSON_CLASSES, size_wh, network_alpha=alpha)
    labels = np.clip(np.rint(9 + 7 * soft), 0, 18).astype(np.uint8)
    return Segmentation(CITYSCAPES_CLASSES, size_wh, network_labels=labels)


def device_pictures(pictures: Sequence[Picture], frame: PictureFormat, device: torch.device | str) -> DevicePicture:
    """Return host pictures of one format as a batch on a device."""
    flat = np.stack([_bytes_of(picture, frame.layout) for picture in pictures])
    return DevicePicture.of_bytes(torch.from_numpy(flat).to(device), frame)


def host_picture(picture: DevicePicture, index: int = 0) -> Picture:
    """Return one of a batch on the host."""
    planes = [plane[index].cpu().numpy() for plane in picture.planes]
    held = picture.format
    if held.is_yuv:
        return Yuv420(planes[0], planes[1], planes[2], matrix=held.matrix, full_range=held.full_range)
    return np.dstack(planes)


def worst_difference(picture: Picture, other: Picture) -> float:
    """Return the largest difference of two pictures of one format, in levels."""
    pairs = zip(_planes_of(picture), _planes_of(other), strict=True)
    return float(max(np.abs(one.astype(np.int16) - two).max() for one, two in pairs))


_HUD: Final = HudState(fps=30.0, frame_age_ms=12.0, dropped=3)


def _planes_of(picture: Picture) -> list[UInt8Array]:
    return [picture.y, picture.u, picture.v] if isinstance(picture, Yuv420) else [picture]


def _bytes_of(picture: Picture, layout: Layout) -> UInt8Array:
    """Return a picture as its bytes in the order of a layout, uint8 [byte_count]."""
    if not isinstance(picture, Yuv420):
        return picture.reshape(-1)
    chroma = np.dstack([picture.u, picture.v]) if layout == "nv12" else np.stack([picture.u, picture.v])
    return np.concatenate([picture.y.reshape(-1), chroma.reshape(-1)])


def _steps(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float16]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return float16 as whole numbers whose difference is how many float16 lie between."""
    bits = values.view(np.int16).astype(np.int32)
    return np.where(bits < 0, -32768 - bits, bits)


def _named(frame: PictureFormat) -> str:
    width, height = frame.size_wh
    colors = f" {frame.matrix} {'full' if frame.full_range else 'limited'}" if frame.is_yuv else ""
    return f"{frame.layout}{colors} {width}x{height}"
