"""The device path end to end on tensors: on a GPU where there is one, else on the CPU with interpreted kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.interpreter import kernel_device

pytestmark = pytest.mark.needs_torch
torch = pytest.importorskip("torch")
KIND = kernel_device()
with pytest.MonkeyPatch.context() as patch:
    if KIND == "cpu":  # read when the kernels are defined, which is at their first import
        patch.setenv("TRITON_INTERPRET", "1")
    from rtseg.cuda.frame_path import compositor_for, fill, format_of, host_picture, open_path

from rtseg.cuda.memory import allocations  # noqa: E402
from rtseg.cuda.streams import DeviceEvent, DeviceStream  # noqa: E402
from rtseg.cuda.support import check_effects  # noqa: E402
from rtseg.device_picture import DeviceYuv420  # noqa: E402
from rtseg.errors import ConfigError, EngineError, InferenceError  # noqa: E402
from rtseg.pipeline.channel import Channel  # noqa: E402
from rtseg.pipeline.device import DeviceRun, DeviceStage, engine_choice, scheduler_for  # noqa: E402
from rtseg.pipeline.stage import Place  # noqa: E402
from rtseg.postprocess.edges import refine_alpha  # noqa: E402
from rtseg.postprocess.temporal import AlphaSmoother  # noqa: E402
from rtseg.preprocess import luma_of, to_network  # noqa: E402
from rtseg.render.compositor_cpu import CpuCompositor  # noqa: E402
from rtseg.render.effects import Blur, Driving, Tint, parse_effects  # noqa: E402
from rtseg.render.hud import HudState  # noqa: E402
from rtseg.segmenter import snapped  # noqa: E402
from rtseg.stats import Stats  # noqa: E402
from rtseg.types import Yuv420  # noqa: E402
from tests.cuda.parts import CLASSES, NETWORK_WH, PALETTE, TinySegmenter, rgb_frame, runtime_of, yuv_frame  # noqa: E402


def planes_of(picture):
    return [picture.y, picture.u, picture.v] if isinstance(picture, Yuv420) else [picture]


def difference(one, other) -> int:
    """The largest difference between two pictures, in levels."""
    pairs = zip(planes_of(one), planes_of(other), strict=True)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)


def run_stage(frames, effects, *, segmenter=None, policy="every", stays=False, switch=None):
    """What comes out of the stage for frames that are all there from the start."""
    segmenter = segmenter or TinySegmenter(KIND)
    using = [(segmenter, tuple(effects))]
    decoded: Channel = Channel(len(frames))
    for frame in frames:
        decoded.put(frame)
    decoded.finish()
    came, stats = [], Stats()

    def deliver(done):
        came.append(done)
        if switch is not None and len(came) == 1:
            using[0] = switch

    run = DeviceRun(decoded, deliver, lambda: using[0], lambda: HudState(30.0, 5.0, 0), lambda: stays)
    stage = DeviceStage(run, policy=policy, stats=stats)
    try:
        stage.run(Place("infer"))
    except InferenceError as error:
        return came, stats, error
    return came, stats, None


@pytest.mark.parametrize("make", [rgb_frame, yuv_frame], ids=["rgb", "i420"])
def test_frames_come_out_in_order_as_the_cpu_would_segment_and_draw_them(make):
    frames = [make(index) for index in range(4)]
    came, stats, error = run_stage(frames, [Tint()])
    assert error is None
    assert [done.frame for done in came] == frames
    with CpuCompositor([Tint()], classes=CLASSES, palette=PALETTE) as cpu:
        for done in came:
            small = to_network(done.frame.picture, NETWORK_WH).rgb
            np.testing.assert_array_equal(done.result.network_labels, small.argmax(2))
            expected = cpu.composite(done.frame, done.result)
            assert difference(done.shown.picture, expected) <= 1
            assert difference(done.shown.picture, done.frame.picture) > 20
    assert stats.frames.processed == 4
    assert {"copy in", "infer", "copy out"} <= set(stats.stages)


def test_without_effects_the_frame_itself_is_shown_and_only_the_mask_comes_back():
    frames = [yuv_frame(index) for index in range(3)]
    came, _, _ = run_stage(frames, [])
    assert [done.shown for done in came] == frames
    assert all(done.result.network_labels.shape == NETWORK_WH[::-1] for done in came)


def surface(frame):
    """The frame as a decoder's surface on the device: NV12 with padded rows."""
    picture = frame.picture
    height, width = picture.y.shape
    luma = torch.zeros((height, width + 16), dtype=torch.uint8, device=KIND)
    chroma = torch.zeros((height // 2, width // 2 + 8, 2), dtype=torch.uint8, device=KIND)
    luma[:, :width] = torch.from_numpy(picture.y).to(KIND)
    chroma[:, : width // 2] = torch.from_numpy(np.stack([picture.u, picture.v], axis=2)).to(KIND)
    planes = (luma[:, :width], chroma[:, : width // 2])

    def download():
        raise AssertionError("a surface was brought to the host")

    on_device = DeviceYuv420(planes, size_wh=(width, height), matrix="bt709", full_range=False, download=download)
    return frame.with_picture(on_device)


@pytest.mark.parametrize("stays", [False, True], ids=["to the host", "stays"])
def test_a_decoders_surfaces_are_drawn_on_without_coming_to_the_host(stays):
    frames = [yuv_frame(index) for index in range(2)]
    came, _, error = run_stage([surface(frame) for frame in frames], [Tint()], stays=stays)
    assert error is None
    with CpuCompositor([Tint()], classes=CLASSES, palette=PALETTE) as cpu:
        for frame, found in zip(frames, came, strict=True):
            assert isinstance(found.shown.picture, DeviceYuv420) == stays
            assert difference(found.shown.picture, cpu.composite(frame, found.result)) <= 1


def test_the_legend_is_drawn_from_what_an_earlier_frame_had():
    frames = [yuv_frame(index, (200, 200)) for index in range(5)]
    came, _, error = run_stage(frames, [Driving(outlines=False, hud=False)])
    assert error is None
    bare = [Driving(outlines=False, hud=False, legend=False)]
    with CpuCompositor(bare, classes=CLASSES, palette=PALETTE) as cpu:
        first, last = (difference(done.shown.picture, cpu.composite(done.frame, done.result)) for done in came[::4])
    assert first <= 1  # nothing is known yet
    assert last > 30


def test_frames_of_another_format_get_slots_of_their_own_and_nothing_is_lost():
    frames = [rgb_frame(0), rgb_frame(1), yuv_frame(2), rgb_frame(3, (64, 48))]
    came, _, error = run_stage(frames, [Tint()])
    assert error is None
    assert [done.frame.frame_index for done in came] == [0, 1, 2, 3]
    assert [done.shown.size_wh for done in came] == [frame.size_wh for frame in frames]


def test_model_and_effects_can_be_switched_while_running():
    frames = [rgb_frame(index) for index in range(7)]
    other = TinySegmenter(KIND)
    came, _, error = run_stage(frames, [Tint()], switch=(other, ()))
    assert error is None
    assert [done.frame.frame_index for done in came] == list(range(7))
    assert other.engine.runs > 0
    assert came[0].shown is not came[0].frame
    assert came[-1].shown is came[-1].frame


def test_a_failure_that_passes_is_tried_again_and_said():
    segmenter = TinySegmenter(KIND)
    if KIND == "cuda":
        pytest.skip("a recorded graph does not ask the engine again")
    segmenter.engine.fail_at = (3,)
    came, stats, error = run_stage([rgb_frame(index) for index in range(6)], [Tint()], segmenter=segmenter)
    assert error is None
    assert [done.frame.frame_index for done in came] == list(range(6))
    assert stats.notes == ["device slots: 1 failed try was repeated"]


def test_a_failure_that_stays_is_raised_and_the_others_are_delivered():
    if KIND == "cuda":
        pytest.skip("a recorded graph does not ask the engine again")
    segmenter = TinySegmenter(KIND, fail_at=tuple(range(3, 1000)))
    came, _, error = run_stage([rgb_frame(index) for index in range(6)], [Tint()], segmenter=segmenter)
    assert "planted failure" in str(error)
    assert [done.frame.frame_index for done in came] == [0, 1]


def test_live_frames_are_few_on_the_way_and_counted_when_given_up():
    frames = [rgb_frame(index) for index in range(5)]
    came, stats, error = run_stage(frames, [Tint()], policy="freshest")
    assert error is None
    indices = [done.frame.frame_index for done in came]
    assert indices == sorted(indices)
    assert indices[-1] == 4
    assert len(came) + stats.frames.dropped["newer_frame"] == 5


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "at least 2.0 GiB"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 512.00 MiB."), "at least 512.0 MiB"),
    ],
)
def test_too_little_memory_says_what_was_needed(refusal, says):
    with pytest.raises(EngineError, match=says):
        open_path(TinySegmenter(KIND, refuse_contexts=refusal), [Tint()], rgb_frame(0))


def test_why_frames_do_not_stay_on_the_device():
    segmenter = TinySegmenter(KIND)
    assert engine_choice(segmenter, [Tint()], segmenter.engine).taken
    late = parse_effects(["cutout", "tint"], classes=(*CLASSES, "person"))
    segmenter.classes, segmenter.palette = (*CLASSES, "person"), (*PALETTE, (1, 2, 3))
    choice = engine_choice(segmenter, late, segmenter.engine)
    assert not choice.taken
    assert "after cutout" in choice.reason
    segmenter.smooths_masks, segmenter.refines_edges = True, True
    assert engine_choice(segmenter, [], segmenter.engine).taken


def moving_frame(index, size_wh=(48, 32)):
    """A red disc that wanders over a grey ground, with noise, as planes."""
    rng = np.random.default_rng(index)
    width, height = size_wh
    y, x = np.mgrid[:height, :width]
    soft = np.clip(8 - np.hypot(x - 20 - 2 * index, y - 16) + 4, 0, 4)[..., None] / 4
    rgb = soft * (230, 60, 50) + (1 - soft) * (70, 90, 90) + rng.integers(-6, 7, (height, width, 3))
    return rgb_frame(index, size_wh).with_picture(np.clip(rgb, 0, 255).astype(np.uint8))


def host_masks(frames, *, smooths, refines):
    """The masks of the host's own session for the tiny matte: how red each pixel is."""
    smoother, masks = AlphaSmoother() if smooths else None, []
    for frame in frames:
        small = to_network(frame.picture, NETWORK_WH)
        mask = snapped(small.rgb[..., 0])
        if smoother is not None:
            mask = smoother.smooth(mask, small.luma, frame.pts_seconds)
        if refines and smoother is not None:
            mask = smoother.refine(mask, small.luma, luma_of(frame.picture))
        elif refines:
            mask = refine_alpha(mask, small.luma, luma_of(frame.picture))
        masks.append(mask)
    return masks


@pytest.mark.parametrize(("smooths", "refines"), [(True, True), (True, False), (False, True)])
def test_mattes_are_steadied_and_refined_as_on_the_host_though_slots_overlap(smooths, refines):
    effects = [Blur()] if smooths and refines else []
    frames = [moving_frame(index) for index in range(4)]
    segmenter = TinySegmenter(KIND, is_matte=True)
    segmenter.smooths_masks, segmenter.refines_edges = smooths, refines
    came, _, error = run_stage(frames, effects, segmenter=segmenter)
    assert error is None
    assert [done.frame for done in came] == frames
    wanted = host_masks(frames, smooths=smooths, refines=refines)
    with CpuCompositor(effects, classes=segmenter.classes, palette=segmenter.palette) as cpu:
        for done, mask in zip(came, wanted, strict=True):
            assert difference(done.result.network_alpha, mask) <= (1 if refines else 0)
            assert done.result.network_alpha.shape == (done.frame.size_wh if refines else NETWORK_WH)[::-1]
            if effects:
                assert difference(done.shown.picture, cpu.composite(done.frame, done.result)) <= 1
    plain = host_masks(frames, smooths=False, refines=False)
    assert refines or any(difference(mask, one) > 5 for mask, one in zip(wanted, plain, strict=True))


def test_labels_are_steadied_too():
    frames = [replace(yuv_frame(0), frame_index=index, pts=index) for index in range(3)]
    segmenter = TinySegmenter(KIND)
    segmenter.smooths_masks = True
    came, _, error = run_stage(frames, [], segmenter=segmenter)
    assert error is None
    small = to_network(frames[0].picture, NETWORK_WH).rgb.argmax(2)
    for done in came:
        np.testing.assert_array_equal(done.result.network_labels, small)


def test_a_frame_that_is_tried_again_is_shown_as_it_is_and_leaves_no_trace():
    if KIND == "cuda":
        pytest.skip("a recorded graph does not ask the engine again")
    frames = [moving_frame(index) for index in range(6)]
    segmenter = TinySegmenter(KIND, is_matte=True, fail_at=(2,))
    segmenter.smooths_masks = True
    came, stats, error = run_stage(frames, [], segmenter=segmenter)
    assert error is None
    assert stats.notes == ["device slots: 1 failed try was repeated"]
    assert [done.frame.frame_index for done in came] == list(range(6))
    alone = snapped(to_network(frames[1].picture, NETWORK_WH).rgb[..., 0])
    np.testing.assert_array_equal(came[1].result.network_alpha, alone)


def test_effects_are_planned_without_a_frame():
    check_effects([Tint()], CLASSES, PALETTE, is_matte=False)
    with pytest.raises(ConfigError, match="after cutout"):
        check_effects(parse_effects(["cutout:classes=red", "tint"], classes=CLASSES), CLASSES, PALETTE, is_matte=False)


@pytest.mark.parametrize("make", [rgb_frame, yuv_frame])
def test_a_picture_survives_being_laid_flat(make):
    picture = make(3).picture
    held = format_of(picture)
    flat = np.zeros((1, held.byte_count), np.uint8)
    fill(flat, picture)
    for found, wanted in zip(planes_of(host_picture(flat, held)), planes_of(picture), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_pictures_with_alpha_are_refused_with_a_remedy():
    with pytest.raises(ConfigError, match="4 channels"):
        format_of(np.zeros((4, 4, 4), np.uint8))


def test_streams_copy_wait_and_tell_the_time():
    runtime = runtime_of(KIND)
    first, second = DeviceStream(runtime), DeviceStream(runtime)
    source, target, third = (torch.full((4,), value, device=KIND) for value in (7, 0, 0))
    started, copied = DeviceEvent(runtime), DeviceEvent(runtime)
    first.record(started)
    first.copy(target, source)
    first.record(copied)
    second.wait(copied)
    second.copy(third, target)
    second.synchronize()
    copied.wait()
    assert copied.done()
    assert third.tolist() == [7] * 4
    assert copied.elapsed_ns(started) >= 0


@pytest.mark.needs_cuda
def test_nothing_is_allocated_while_frames_run():
    segmenter = TinySegmenter("cuda")
    frames = [yuv_frame(index, (640, 360)) for index in range(8)]
    path = open_path(segmenter, [Driving()], frames[0])
    assert path.recorded
    scheduler = scheduler_for(path, lambda: HudState(30.0, 5.0, 0))

    def go(count):
        for index in range(count):
            while scheduler.in_flight and not scheduler.has_room:
                scheduler.collect()
            scheduler.submit(frames[index % 8])
        while scheduler.in_flight:
            scheduler.collect()

    go(20)
    before = allocations(segmenter.engine.device)
    go(500)
    assert allocations(segmenter.engine.device) == before
    extra = torch.zeros(1 << 20, device="cuda")  # control: the counters do see an allocation
    assert allocations(segmenter.engine.device) != before
    del extra
    path.close()


def test_the_compositor_knows_the_engines_mask():
    segmenter = TinySegmenter(KIND)
    with compositor_for(segmenter, [Tint()], format_of(rgb_frame(0).picture), segmenter.engine) as compositor:
        assert compositor.mask_wh == NETWORK_WH
        assert not compositor.is_matte
