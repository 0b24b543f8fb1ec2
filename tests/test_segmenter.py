"""The segmenter: stateless calls, sessions in order, no shift, safe from several threads."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtseg.backends.fake import FakeBackend
from rtseg.color import to_yuv420
from rtseg.errors import ConfigError, InferenceError
from rtseg.postprocess.edges import refine_alpha
from rtseg.segmenter import load, snapped
from rtseg.types import Frame

MODELS = Path(__file__).resolve().parent / "golden" / "models"
PLAIN = {"channel_order": "RGB", "scale": 1 / 255, "mean": (0, 0, 0), "std": (1, 1, 1)}
ALPHA = {**PLAIN, "output_kind": "alpha"}
LABELS = {**PLAIN, "output_kind": "logits", "classes": 4}


def labeller(backend=None, **options):
    return load(MODELS / "logits_nchw.onnx", backend=backend or FakeBackend(), **LABELS, **options)


def matter(backend=None, size_wh=(32, 16), **options):
    path = MODELS / "alpha_any_size.onnx"
    return load(path, backend=backend or FakeBackend(), size_wh=size_wh, **ALPHA, **options)


def frame(index, value=0, size_wh=(64, 32)):
    picture = np.full((size_wh[1], size_wh[0], 3), value, np.uint8)
    return Frame(picture, index, index, Fraction(1, 25), time.monotonic_ns())


def noise(size_wh, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


# ---- calls


def test_a_call_gives_labels_at_frame_and_network_size():
    with labeller() as segmenter:
        result = segmenter(noise((101, 57)))
    assert result.labels.shape == (57, 101)
    assert result.labels.dtype == np.uint8
    assert result.at_network_size().labels.shape == (16, 32)
    assert result.alpha is None
    assert segmenter.classes == result.classes == ("class 0", "class 1", "class 2", "class 3")
    assert len(segmenter.palette) == 4


def test_a_call_gives_a_matte():
    with matter() as segmenter:
        result = segmenter(noise((101, 57)))
    assert result.alpha.shape == (57, 101)
    assert result.alpha.dtype == np.float32
    assert 0 <= result.alpha.min() < result.alpha.max() <= 1
    np.testing.assert_array_equal(result.labels, result.alpha > 0.5)


def test_calls_remember_nothing():
    with matter(smoothing=True) as segmenter:
        first = segmenter(noise((64, 32), seed=1)).alpha_bytes
        segmenter(noise((64, 32), seed=2))
        np.testing.assert_array_equal(segmenter(noise((64, 32), seed=1)).alpha_bytes, first)


def test_scores_come_where_asked_for():
    with labeller(with_scores=True) as segmenter:
        assert segmenter(noise((50, 40))).scores.shape == (40, 50)
    with labeller() as segmenter:
        assert segmenter(noise((50, 40))).scores is None


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), "street.jpg"])
def test_a_wrong_picture_is_refused(wrong):
    with labeller() as segmenter, pytest.raises(ConfigError, match="expected an RGB array"):
        segmenter(wrong)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "fp8"}, ConfigError, "precision: got 'fp8'"),
        ({"hint": "speed"}, ConfigError, "hint: got 'speed'"),
        ({"threads": 0}, ConfigError, "threads: got 0"),
        ({"edges": True}, ConfigError, "expected a matte"),
        pytest.param(
            {"backend": "torch", "precision": "fp8"},
            ConfigError,
            "precision: got 'fp8'",
            marks=pytest.mark.needs_torch,
        ),
    ],
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        labeller(**options)


def test_after_close_calls_fail_and_closing_again_does_nothing():
    backend = FakeBackend()
    segmenter = labeller(backend)
    segmenter.close()
    segmenter.close()
    assert backend.closed
    with pytest.raises(InferenceError, match="after close"):
        segmenter(noise((64, 32)))


# ---- no shift


def blob(size_wh, center_xy, radius):
    """A soft disc in the red channel; centres are in fractions of the picture, rgb uint8 [H, W, 3]."""
    width, height = size_wh
    x = (np.arange(width) + 0.5) / width
    y = ((np.arange(height) + 0.5) / height)[:, None]
    distance = np.hypot((x - center_xy[0]), (y - center_xy[1]))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.clip(255 * (1.5 - distance / radius), 0, 255)
    return picture


def centroid_px(mask, size_wh):
    """Centre of mass in pixels of a picture of `size_wh`, x and y."""
    weights = mask.astype(np.float64)
    height, width = mask.shape
    x = ((np.arange(width) + 0.5) * weights.sum(axis=0)).sum() / weights.sum() / width
    y = ((np.arange(height) + 0.5) * weights.sum(axis=1)).sum() / weights.sum() / height
    return np.array([x * size_wh[0], y * size_wh[1]])


SIZES = [
    ((1280, 720), (256, 144)),
    ((641, 479), (128, 96)),
    ((63, 47), (256, 192)),
    ((333, 211), (97, 65)),
    ((64, 64), (64, 64)),
    ((1920, 1080), (512, 256)),
]


@pytest.mark.parametrize(("frame_wh", "network_wh"), SIZES)
@pytest.mark.parametrize("runtime", ["openvino", "fake"])
def test_a_pattern_stays_where_it_is(frame_wh, network_wh, runtime):
    backend = FakeBackend() if runtime == "fake" else "openvino"
    picture = blob(frame_wh, (0.37, 0.58), 0.15)
    with matter(backend, network_wh, edges=False) as segmenter:
        result = segmenter(picture)
    expected = centroid_px(picture[..., 0], frame_wh)
    at_frame = centroid_px(result.alpha_bytes, frame_wh)
    at_network = centroid_px(result.at_network_size().alpha_bytes, network_wh)
    np.testing.assert_allclose(at_frame, expected, atol=0.5)
    np.testing.assert_allclose(at_network, centroid_px(picture[..., 0], network_wh), atol=0.5)
    labels = centroid_px(result.labels, frame_wh)
    np.testing.assert_allclose(labels, centroid_px(picture[..., 0] > 127, frame_wh), atol=0.5)


@pytest.mark.parametrize(("frame_wh", "network_wh"), [s for s in SIZES if not (s[0][0] % 2 or s[0][1] % 2)])
def test_a_pattern_in_planes_stays_where_it_is(frame_wh, network_wh):
    picture = blob(frame_wh, (0.37, 0.58), 0.15)
    picture[:] = picture[..., :1]  # grey, so that chroma cannot hide a shift of luma
    planes = to_yuv420(picture, matrix="bt709", full_range=False)
    with matter(None, network_wh, edges=False, smoothing=False) as segmenter:
        whole = Frame(planes, 0, 0, Fraction(1, 25), 0)
        result = segmenter.session().submit(whole).result()
    np.testing.assert_allclose(
        centroid_px(result.alpha_bytes, frame_wh), centroid_px(picture[..., 0], frame_wh), atol=0.5
    )


def test_the_check_above_would_notice_one_pixel():
    picture = blob((64, 64), (0.37, 0.58), 0.15)
    with matter(FakeBackend(fault="shift"), (64, 64)) as segmenter:
        shifted = centroid_px(segmenter(picture).alpha_bytes, (64, 64)) - centroid_px(picture[..., 0], (64, 64))
    assert shifted[0] > 0.5


# ---- sessions


def kept(value: int) -> int:
    """What is left of a matte value after the segmenter."""
    return int(snapped(np.array([[value]], np.uint8))[0, 0])


def test_a_matte_near_nothing_or_everything_is_exactly_that_and_half_stays_half():
    assert [kept(value) for value in (0, 38, 39, 127, 128, 216, 217, 255)] == [0, 0, 1, 127, 128, 254, 255, 255]
    values = [kept(value) for value in range(256)]
    assert values == sorted(values)


def test_a_session_keeps_order_and_times_with_several_in_flight():
    with matter(FakeBackend(0.002, in_flight=3), smoothing=False, edges=False) as segmenter:
        session, waiting, values = segmenter.session(), [], []
        for index in range(9):
            if len(waiting) == segmenter.info.in_flight:
                values.append(waiting.pop(0).result().alpha_bytes[0, 0])
            waiting.append(session.submit(frame(index, 20 * index)))
        tickets = list(waiting)
        values += [ticket.result().alpha_bytes[0, 0] for ticket in waiting]
    assert values == [kept(20 * index) for index in range(9)]
    assert all(t.preprocess_ns > 0 and t.infer_ns == 2_000_000 and t.postprocess_ns > 0 for t in tickets)


def test_collecting_out_of_order_twice_or_too_late_fails():
    with labeller() as segmenter:
        session = segmenter.session()
        first, second = session.submit(frame(0)), session.submit(frame(1))
        with pytest.raises(InferenceError, match="more than 2 frames outstanding"):
            session.submit(frame(2))
        with pytest.raises(InferenceError, match="frame 1 collected out of order"):
            second.result()
        first.result()
        with pytest.raises(InferenceError, match="twice"):
            first.result()
        second.result()


@pytest.mark.parametrize("on_submit", [False, True])
def test_a_failed_frame_does_not_stop_the_session(on_submit):
    with labeller(FakeBackend(fail_at=1, fail_on_submit=on_submit)) as segmenter:
        session = segmenter.session()
        session.submit(frame(0)).result()
        with pytest.raises(InferenceError, match="picture 1"):
            session.submit(frame(1)).result()
        assert session.submit(frame(2)).result().labels.shape == (32, 64)


def test_sessions_of_one_segmenter_never_wait_for_each_other_to_collect():
    with matter(FakeBackend(in_flight=1), smoothing=False, edges=False) as segmenter:
        one, other = segmenter.session(), segmenter.session()
        a, b = one.submit(frame(0, 10)), other.submit(frame(0, 200))  # the backend has one place only
        c = segmenter(np.full((32, 64, 3), 90, np.uint8))
        assert b.result().alpha_bytes[0, 0] == kept(200)
        assert a.result().alpha_bytes[0, 0] == kept(10)
        assert c.alpha_bytes[0, 0] == kept(90)


@pytest.mark.parametrize("runtime", ["openvino", "fake"])
def test_sessions_in_several_threads_get_their_own_results(runtime):
    backend = FakeBackend(0.0005, in_flight=2) if runtime == "fake" else "openvino"
    wrong: list[object] = []
    with matter(backend, hint="throughput", smoothing=False, edges=False) as segmenter:

        def run(offset: int) -> None:
            session, waiting = segmenter.session(), []
            for index in range(40):
                if len(waiting) == segmenter.info.in_flight:
                    value, ticket = waiting.pop(0)
                    found = ticket.result().alpha_bytes
                    if not (found == kept(value)).all():
                        wrong.append((offset, index, value, found[0, 0]))
                value = (offset * 83 + index * 5) % 256
                waiting.append((value, session.submit(frame(index, value))))
            for _, ticket in waiting:
                ticket.result()

        threads = [threading.Thread(target=run, args=(offset,)) for offset in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


# ---- smoothing and edges


class Recorder:
    """A smoother that notes what it is given."""

    def __init__(self):
        self.seen = []

    def smooth(self, mask, luma, pts_seconds=None):
        self.seen.append((int(mask[0, 0]), mask.shape, luma.shape, pts_seconds))
        return mask

    def refine(self, mask, luma_small, luma_full):
        return refine_alpha(mask, luma_small, luma_full)


@pytest.fixture
def recorders(monkeypatch):
    """Every smoother that a session makes, by the name of its class."""
    made = {"AlphaSmoother": [], "LabelSmoother": []}

    def maker(name):
        def make():
            made[name].append(Recorder())
            return made[name][-1]

        return make

    for name in made:
        monkeypatch.setattr(f"rtseg.postprocess.temporal.{name}", maker(name))
    return made


@pytest.mark.parametrize(
    ("make", "asked", "smoother"),
    [
        (matter, None, "AlphaSmoother"),
        (matter, False, None),
        (labeller, None, None),
        (labeller, True, "LabelSmoother"),
    ],
)
def test_sessions_smooth_mattes_by_default_and_labels_when_asked(recorders, make, asked, smoother):
    with make(smoothing=asked) as segmenter:
        session = segmenter.session()
        for index in range(3):
            session.submit(frame(index, 100)).result()
        segmenter(noise((64, 32)))
    made = {name: len(found) for name, found in recorders.items()}
    assert made == {name: int(name == smoother) for name in made}
    if smoother:
        seen = recorders[smoother][0].seen
        assert [pts for *_, pts in seen] == [0.0, 0.04, 0.08]
        assert seen[0][1:3] == ((16, 32), (16, 32))


def test_each_session_smooths_in_the_order_of_its_own_frames(recorders):
    with matter(FakeBackend(in_flight=2), edges=False) as segmenter:
        one, other = segmenter.session(), segmenter.session()
        for index in range(4):
            tickets = one.submit(frame(index, 20 + 10 * index)), other.submit(frame(index, 120 + 10 * index))
            for ticket in reversed(tickets):
                ticket.result()
    seen = [[value for value, *_ in r.seen] for r in recorders["AlphaSmoother"]]
    assert seen == [[kept(value) for value in row] for row in ([20, 30, 40, 50], [120, 130, 140, 150])]


def test_smoothing_steadies_a_flickering_matte_of_a_still_picture():
    picture = np.random.default_rng(5).integers(90, 120, (32, 64, 3), dtype=np.uint8)
    with matter(FakeBackend(), edges=False) as smoothed, matter(FakeBackend(), edges=False, smoothing=False) as plain:
        spans = []
        for segmenter in (smoothed, plain):
            session, seen = segmenter.session(), []
            for index in range(20):
                flicker = picture.copy()
                flicker[..., 0] += np.uint8(4 * (index % 2))  # the fake's matte is red
                one = Frame(flicker, index, index, Fraction(1, 25), 0)
                seen.append(session.submit(one).result().alpha_bytes.astype(int))
            spans.append(np.abs(seen[-1] - seen[-2]).mean())
    assert spans[0] < 0.6 * spans[1]


def test_edges_are_refined_in_sessions_of_mattes_and_on_request_in_calls():
    picture = noise((64, 32))
    with matter() as default, matter(edges=True) as asked, matter(edges=False) as refused:
        whole = Frame(picture, 0, 0, Fraction(1, 25), 0)
        assert default.session().submit(whole).result().network_size_wh == (64, 32)
        assert default(picture).network_size_wh == (32, 16)
        assert asked(picture).network_size_wh == (64, 32)
        assert refused.session().submit(whole).result().network_size_wh == (32, 16)


@pytest.mark.needs_shared
def test_public_models_run_and_see_the_road(shared):
    import cv2

    name = next((shared / "media" / "street").glob("0ace96c3*.jpg"))
    rgb = cv2.cvtColor(cv2.imread(str(name)), cv2.COLOR_BGR2RGB)
    facts = {"channel_order": "RGB", "scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    mini = shared / "weights" / "mininetv2_512x1024.onnx"
    with load(mini, output_kind="logits", classes="cityscapes", **facts) as segmenter:
        labels = segmenter(rgb).labels
    bgr = {"channel_order": "BGR", "scale": 1, "mean": (0, 0, 0), "std": (1, 1, 1), "output_kind": "probability"}
    adas = shared / "weights" / "road_segmentation_adas_0001.onnx"
    with load(adas, classes="background,road,curb,mark", **bgr) as segmenter:
        road = segmenter(rgb).labels
    height, width = labels.shape
    lane = np.s_[int(0.6 * height) : int(0.75 * height), int(0.3 * width) : int(0.55 * width)]
    assert (labels[lane] == 0).mean() > 0.8
    assert np.isin(road[lane], (1, 3)).mean() > 0.9
    assert (labels[: height // 5, : width // 2] == 8).mean() > 0.8  # trees
