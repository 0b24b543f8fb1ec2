"""Parts 1 and 6: are the kernels right, and how long do they take against a device copy of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.gpu.memory_checks import edges_difference, smoothing_difference
from benchmarks.gpu.setting import Budget, Setting, Size, random_bytes, timed_ms, yuv_format
from rtseg.cuda.frame_path import fill, host_picture
from rtseg.cuda.stream_memory import MemoryBuffers, Postprocess, StreamMemory
from rtseg.kernels.picture import DevicePicture, PictureFormat
from rtseg.kernels.preprocess import Normalisation, Preprocessor
from rtseg.models.bundle import load_bundle
from rtseg.preprocess import to_network
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.compositor_cuda import CudaCompositor
from rtseg.render.effects import parse_effects
from rtseg.types import Frame, Picture, Segmentation, Yuv420

EFFECTS = {
    "street": ("tint", "driving:legend=no,hud=no", "outline", "spotlight:style=grey"),
    "person": ("blur", "replace:color=#20c040", "spotlight", "cutout", "blur:strength=1"),
}


def kernels_against_cpu(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 1: the largest difference, in levels, between kernels and the CPU reference; 1 level is allowed."""
    checks: dict[str, Any] = {}
    for name, check in _checks(setting):
        if budget.over:
            checks[name] = {"skipped": "budget"}
            continue
        checks[name] = {"max_difference": check(), "allowed": 1}
    wrong = [name for name, found in checks.items() if found.get("max_difference", 0) > 1]
    return {"checks": checks, "wrong": wrong, "equal": sum(c.get("max_difference") == 0 for c in checks.values())}


def _checks(setting: Setting) -> Iterator[tuple[str, Callable[[], int]]]:
    sizes = [(67, 45), (1, 1)] if setting.dry else [(67, 45), (1, 1), (1279, 719)]
    for size_wh in sizes:
        yield f"preprocess rgb {size_wh[0]}x{size_wh[1]}", lambda s=size_wh: _preprocess(setting, PictureFormat(s))
    video = setting.frame_sizes["720p"] if setting.dry else setting.frame_sizes["1080p"]
    for layout in ("i420", "nv12"):
        for matrix, full in (("bt601", False), ("bt709", True), ("bt2020", False)):
            held = PictureFormat(video, layout, matrix, full)
            yield (
                f"preprocess {layout} {matrix} {'full' if full else 'limited'}",
                lambda h=held: _preprocess(setting, h),
            )
    for is_matte in (True, False):
        yield f"smoothing {'matte' if is_matte else 'labels'}", lambda m=is_matte: smoothing_difference(setting, m)
    for held in (PictureFormat(video), yuv_format(video)):
        yield f"edges {held.layout}", lambda h=held: edges_difference(setting, h)
    for model, effects in EFFECTS.items():
        for effect in effects[: 2 if setting.dry else None]:
            for held in (PictureFormat(video), yuv_format(video)):
                yield (
                    f"composite {model} {effect} {held.layout}",
                    lambda m=model, e=effect, h=held: _composite(setting, m, e, h),
                )


def _preprocess(setting: Setting, held: PictureFormat) -> int:
    """Bytes before normalisation, so that a level is a level."""
    size_wh = (24, 16) if setting.dry else (512, 256)
    flat = random_bytes(held.byte_count, seed=held.size_wh[0])
    picture = DevicePicture.of_bytes(flat.to(setting.device), held)
    whole = Normalisation(scale=1.0)
    kernel = Preprocessor(held, size_wh, normalisation=whole, dtype=torch.float32, device=setting.device)
    out = kernel.empty_input()
    kernel(picture, out)
    found = out[0].permute(1, 2, 0).cpu().numpy()
    expected = to_network(host_picture(flat.numpy(), held), size_wh).rgb
    return int(np.abs(found - expected).max())


def _composite(setting: Setting, model: str, effect: str, held: PictureFormat) -> int:
    bundle = load_bundle(model)
    effects = parse_effects([effect], classes=bundle.classes)
    mask_wh = (24, 16) if setting.dry else (512, 256)
    rng = np.random.default_rng(5)
    is_matte = bundle.network.is_matte
    blocks = rng.integers(0, 256 if is_matte else len(bundle.classes), (mask_wh[1] // 8, mask_wh[0] // 8), np.uint8)
    mask = np.kron(blocks, np.ones((8, 8), np.uint8))
    flat = random_bytes(held.byte_count, seed=11)
    with (
        CpuCompositor(effects, classes=bundle.classes, palette=bundle.palette) as cpu,
        CudaCompositor(
            effects,
            classes=bundle.classes,
            palette=bundle.palette,
            frame=held,
            mask_wh=mask_wh,
            is_matte=is_matte,
            device=setting.device,
        ) as cuda,
    ):
        out = torch.zeros((1, cuda.out_format.byte_count), dtype=torch.uint8, device=setting.device)
        on_device = torch.from_numpy(mask[None]).to(setting.device)
        picture = DevicePicture.of_bytes(flat.to(setting.device), held)
        cuda.composite(picture, on_device, DevicePicture.of_bytes(out, cuda.out_format))
        found = host_picture(out.cpu().numpy(), cuda.out_format)
        result = Segmentation(bundle.classes, held.size_wh, **{"network_alpha" if is_matte else "network_labels": mask})
        frame = Frame(host_picture(flat.numpy(), held), 0, 0, Fraction(1, 30), 0)
        return _difference(found, cpu.composite(frame, result))


def _difference(found: Picture, expected: Picture) -> int:
    pairs = zip(_planes(found), _planes(expected), strict=True)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)


def _planes(picture: Picture) -> tuple[np.ndarray[Any, Any], ...]:
    return (picture.y, picture.u, picture.v) if isinstance(picture, Yuv420) else (picture,)


def kernel_times(setting: Setting, budget: Budget) -> dict[str, Any]:
    """Part 6: kernels and device copies of the bytes they read and write, in turns in one run."""
    found: dict[str, Any] = {}
    cases = [("1080p", 1), ("4K", 1), ("1080p", 2 if setting.dry else 8)]
    for name, batch in cases:
        if budget.over:
            found[f"{name} batch {batch}"] = {"skipped": "budget"}
            continue
        found[f"{name} batch {batch}"] = _times(setting, setting.frame_sizes[name], batch)
    return found


def _times(setting: Setting, frame_wh: Size, batch: int) -> dict[str, Any]:
    held, network_wh = yuv_format(frame_wh), setting.main_size
    flat = random_bytes(held.byte_count * batch, seed=1).view(batch, -1).to(setting.device)
    picture = DevicePicture.of_bytes(flat, held)
    dtype = torch.float32 if setting.dry else torch.float16
    kernel = Preprocessor(held, network_wh, dtype=dtype, device=setting.device)
    out = kernel.empty_input(batch)
    moved = flat.numel() + out.numel() * out.element_size()
    result = {"preprocess": _against_copy(setting, lambda: kernel(picture, out), moved)}
    if batch == 1:
        result["smoothing and edges"] = _memory_time(setting, picture)
    for model, effect in (("street", "tint"), ("street", "driving"), ("person", "blur")):
        result[f"composite {effect}"] = _composite_time(setting, model, effect, picture, network_wh)
    return result


def _memory_time(setting: Setting, picture: DevicePicture) -> dict[str, Any]:
    """What is done to a person's matte at the defaults, each frame going on from the one before."""
    mask_wh = setting.engine_sizes[0] if setting.dry else (256, 256)
    memory = StreamMemory(Postprocess(True, True), mask_wh, picture.format, is_matte=True, device=setting.device)
    buffers = MemoryBuffers(mask_wh, setting.device)
    memory.params_of(0.0)
    buffers.params.copy_(torch.from_numpy(memory.params_of(1 / 30)))
    mask = cv2.blur(random_bytes(mask_wh[0] * mask_wh[1], seed=4).numpy().reshape(mask_wh[::-1]), (31, 31))
    on_device = torch.from_numpy(mask)[None].to(setting.device)
    out = torch.zeros((1, *memory.mask_wh[::-1]), dtype=torch.uint8, device=setting.device)
    moved = 3 * out.numel()  # luma and what was shown are read, what is shown is written
    return _against_copy(setting, lambda: memory.run(buffers, on_device, picture, out), moved)


def _composite_time(setting: Setting, model: str, effect: str, picture: DevicePicture, mask_wh: Size) -> dict[str, Any]:
    bundle, batch = load_bundle(model), picture.batch
    with CudaCompositor(
        parse_effects([effect], classes=bundle.classes),
        classes=bundle.classes,
        palette=bundle.palette,
        frame=picture.format,
        mask_wh=mask_wh,
        is_matte=bundle.network.is_matte,
        batch=batch,
        device=setting.device,
    ) as compositor:
        rng = np.random.default_rng(2)
        top = 256 if bundle.network.is_matte else len(bundle.classes)
        blocks = rng.integers(0, top, (batch, mask_wh[1] // 8, mask_wh[0] // 8), np.uint8)
        mask = torch.from_numpy(blocks.repeat(8, 1).repeat(8, 2)).to(setting.device)
        shape = (batch, compositor.out_format.byte_count)
        out = torch.zeros(shape, dtype=torch.uint8, device=setting.device)
        target = DevicePicture.of_bytes(out, compositor.out_format)
        moved = picture.format.byte_count * batch + out.numel() + mask.numel()
        return _against_copy(setting, lambda: compositor.composite(picture, mask, target), moved)


def _against_copy(setting: Setting, work: Callable[[], None], moved_bytes: int) -> dict[str, Any]:
    """Time the work and a device copy that moves as many bytes, read and written together, twice each, in turns."""
    source = random_bytes(max(1, moved_bytes // 2), seed=9).to(setting.device)
    target = torch.zeros_like(source)
    calls = 1 if setting.dry else 20
    rounds = [
        (timed_ms(setting, work, calls=calls), timed_ms(setting, lambda: target.copy_(source), calls=calls))
        for _ in range(2)
    ]
    kernel, copied = (min(times["median"] for times in side) for side in zip(*rounds, strict=True))
    spread = max(abs(a["median"] - b["median"]) for a, b in zip(rounds[0], rounds[1], strict=True))
    return {
        "kernel_ms": kernel,
        "copy_ms": copied,
        "ratio": kernel / copied if copied else None,
        "bytes": moved_bytes,
        "spread_ms": spread,
    }


def filled(picture: Picture, held: PictureFormat) -> torch.Tensor:
    """A picture as the bytes of a format, uint8 [1, bytes] on the host."""
    flat = np.zeros((1, held.byte_count), np.uint8)
    fill(flat, picture)
    return torch.from_numpy(flat)
