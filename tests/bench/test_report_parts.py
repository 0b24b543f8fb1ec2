from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from rtseg.bench.html_style import DARK, style_sheet
from rtseg.bench.plots_drawing import Area, Box, Dot, Figure, Scale, Stroke, Words, clipped, log_ticks, ticks
from rtseg.bench.plots_latency import distribution_figure, glass_figure, steps_of, waterfall_figure
from rtseg.bench.plots_raster import LIGHT, pixels_of
from rtseg.bench.plots_scores import capacity_figure, scatter_figures, without_score
from rtseg.bench.plots_svg import svg_of
from rtseg.bench.plots_throughput import cost_figure, throughput_figure
from rtseg.bench.report_tables import columns_for, statements, troubles
from rtseg.bench.report_values import UNKNOWN, common_parts, digits, entries_of, number, percent
from tests.bench.documents import document, failed, result, rich_document


def entries(*results):
    return entries_of(document(*results))


def boxes(figure: Figure, role: str) -> list[Box]:
    return [shape for shape in figure.shapes if isinstance(shape, Box) and shape.role == role and shape.tip]


def texts(figure: Figure) -> list[str]:
    return [shape.text for shape in figure.shapes if isinstance(shape, Words)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (52.123, "52.1"), (0.865, "0.865"), (1234.5, "1,234"), (0.0061, "0.006"), (3.0, "3.00"),
     (99.96, "100.0"), (-4.26, "-4.26"), (0.00004, "4.0e-05")],
)  # fmt: skip
def test_digits(value, text):
    assert digits(value) == text


@pytest.mark.parametrize("value", [None, "3", True, math.nan, math.inf, [1], {}])
def test_what_is_no_number_is_none(value):
    assert number(value) is None


def test_percent():
    assert (percent(None), percent(0.865), percent(0.865, 1)) == (UNKNOWN, "86 %", "86.5 %")


def test_labels_name_what_tells_settings_apart_and_no_more():
    found = entries(result(), result(sink=".mp4"), result("person", size=[256, 256], effect="blur"))
    assert [entry.label for entry in found] == ["street · int8 · null sink", "street · int8 · .mp4 sink",
                                                "person · int8 · null sink"]  # fmt: skip
    assert common_parts(found) == ["openvino", "clip.mp4 960×540"]
    assert found[0].full_label == "street · openvino · int8 · 640×320 · clip.mp4 960×540 · driving effect · null sink"


def test_labels_of_one_model_at_two_sizes_have_the_size():
    assert [entry.label for entry in entries(result(), result(size=[320, 160]))] == [
        "street · int8 · 640×320",
        "street · int8 · 320×160",
    ]


def test_bars_are_as_long_as_their_values():
    figure = throughput_figure(entries(result(fps=(40.0, 40.0, 40.0)), result("b", fps=(80.0, 80.0, 80.0))), 600)
    short, long = boxes(figure, "accent")
    track = boxes(figure, "track")[1]
    assert long.width == pytest.approx(2 * short.width)
    assert track.width == pytest.approx(1.1 * long.width)
    dots = [shape for shape in figure.shapes if isinstance(shape, Dot)]
    assert len(dots) == 6
    assert dots[-1].x == pytest.approx(long.x + long.width)


def test_fault_turns_the_bar_red_and_a_failure_is_named():
    figure = throughput_figure(entries(result(faults=["x"]), failed()), 600)
    assert len(boxes(figure, "bad")) == 1
    assert not boxes(figure, "accent")
    assert "failed" in texts(figure)
    assert any(text.startswith("tensorrt: got no GPU") for text in texts(figure))


def test_processor_time_is_stacked_to_the_whole():
    limit = {"cores": 2, "decode_core_ms": 10.0, "infer_core_ms": 20.0, "encode_core_ms": 5.0}
    figure = cost_figure(entries(result(core_ms=40.0, limit=limit)), 600)
    lengths = {role: boxes(figure, role)[0] for role in ("decode", "infer", "sink", "rest")}
    assert lengths["infer"].x > lengths["decode"].x
    assert lengths["rest"].tip == "everything else: 5.00 core-ms"
    assert lengths["infer"].width + 1 == pytest.approx(2 * (lengths["decode"].width + 1), rel=0.01)


def test_parts_that_take_more_than_the_whole_are_marked_not_hidden():
    limit = {"cores": 2, "decode_core_ms": 10.0, "infer_core_ms": 50.0, "encode_core_ms": 0.0}
    over = cost_figure(entries(result(core_ms=40.0, limit=limit)), 600)
    within = cost_figure(entries(result(core_ms=70.0, limit=limit)), 600)
    assert any(isinstance(shape, Stroke) and shape.role == "bad" for shape in over.shapes)
    assert not any(isinstance(shape, Stroke) and shape.role == "bad" for shape in within.shapes)


def test_waterfall_starts_each_stage_where_the_one_before_ended_and_waiting_fills_the_age():
    steps = steps_of(entries(result())[0])
    assert [step.name for step in steps] == [
        "decode",
        "waiting",
        "preprocess",
        "infer",
        "postprocess",
        "render",
        "sink null",
    ]
    for before, after in itertools.pairwise(steps):
        assert after.start_ms == pytest.approx(before.start_ms + before.mean_ms)
    made = result()
    inside = sum(stage["mean"] for name, stage in made["stages"].items() if name != "decode")
    assert steps[1].mean_ms == pytest.approx(made["frame_age_ms"]["mean"] - inside)
    assert steps[-1].start_ms + steps[-1].mean_ms == pytest.approx(
        made["frame_age_ms"]["mean"] + made["stages"]["decode"]["mean"]
    )


def test_waiting_is_not_invented_where_the_age_is_unknown_or_smaller_than_the_stages():
    for age in (None, {"mean": 1.0}):
        assert "waiting" not in [step.name for step in steps_of(entries(result(frame_age_ms=age))[0])]


def test_distribution_is_on_one_axis_and_ends_at_the_slowest_frame():
    figure = distribution_figure(entries(result(fps=(20.0, 20.0, 20.0)), result("b", fps=(80.0, 80.0, 80.0))), 800)
    slow = [box for box in boxes(figure, "accent") if box.y < 84]
    quick = [box for box in boxes(figure, "accent") if box.y >= 84]
    assert len(slow) == len(quick) == 10
    assert min(box.x for box in slow) > min(box.x for box in quick)
    tallest = max(slow, key=lambda box: box.height)
    assert tallest.tip.endswith("170 frames")


def test_bins_that_do_not_fit_their_counts_are_not_drawn():
    made = result(histogram={"latency_ms": {"edges": [1, 2], "counts": [1, 2]}})
    figure = distribution_figure(entries(made), 800)
    assert not boxes(figure, "accent")
    assert "p99" in texts(figure)


def test_scatter_has_a_figure_for_each_measure_and_names_what_has_none():
    found = entries_of(rich_document())
    figures = scatter_figures(found, 600)
    assert [figure.summary for figure in figures] == ["Frames a second against CamVid val mIoU",
                                                      "Frames a second against portraits val IoU"]  # fmt: skip
    assert without_score(found) == ["mine · fp32 · null sink"]
    dots = [shape for shape in figures[0].shapes if isinstance(shape, Dot)]
    assert len(dots) == 4  # the paced one is no rate
    quick = next(dot for dot in dots if dot.tip.startswith("street-lite"))
    slow = next(dot for dot in dots if dot.tip.startswith("street · bf16"))
    assert quick.y < slow.y
    assert quick.x < slow.x


def test_faulty_rate_beats_nobody_in_the_scatter():
    sound = [result("a", score=("m", 0.6)), result("b", fps=(30.0,) * 3, score=("m", 0.7))]
    fault = result("c", fps=(90.0,) * 3, score=("m", 0.8), faults=["limit_share 2 is above 1"])
    lines = {}
    for name, found in (("sound", sound), ("fault", [*sound, fault]), ("mended", [*sound, {**fault, "faults": []}])):
        shapes = scatter_figures(entries(*found), 600)[0].shapes
        lines[name] = [len(shape.points) for shape in shapes if isinstance(shape, Stroke) and shape.dashed]
    assert lines == {"sound": [2], "fault": [2], "mended": []}


def test_names_in_the_scatter_cover_neither_dots_nor_each_other():
    crowd = [result(f"model-{index}", fps=(50.0 + index / 10,) * 3) for index in range(6)]
    figure = scatter_figures(entries(*crowd), 600)[0]
    names = [shape for shape in figure.shapes if isinstance(shape, Words) and shape.text.startswith("model-")]
    lines = sorted(shape.y for shape in names)
    assert len(names) == 6
    assert all(below - above >= 12.9 for above, below in itertools.pairwise(lines))


def test_capacity_shows_held_and_failed_tries_under_a_limit_that_can_be_told():
    figure = next(figure for entry in entries_of(rich_document()) if (figure := capacity_figure(entry, 600)))
    assert len(boxes(figure, "good")) == 3
    failed_try = boxes(figure, "bad")[0]
    assert "812 dropped, not held" in failed_try.tip
    limit = next(shape for shape in figure.shapes if isinstance(shape, Stroke) and shape.dashed)
    assert failed_try.y < limit.points[0][1]
    assert limit.points[0][1] - failed_try.y > 30


def test_figures_without_anything_to_show_are_none():
    nothing = entries_of({"results": [{"model": "a"}]})
    assert throughput_figure(nothing, 600) is None
    assert cost_figure(nothing, 600) is None
    assert distribution_figure(nothing, 600) is None
    assert glass_figure(nothing, 600) is None
    assert waterfall_figure(nothing[0], 600) is None
    assert capacity_figure(nothing[0], 600) is None
    assert scatter_figures(nothing, 600) == []


def test_statements_compare_with_the_setting_most_alike():
    found = entries(
        result(),
        result(precision="bf16", fps=(30.0, 30.5, 31.0)),
        result(precision="bf16", sink=".mp4", fps=(29.9, 30.6, 31.1)),
        result("b", fps=(90.0,)),
    )
    said = statements(found)
    assert said[0].startswith("2 street · bf16 · null sink against 1 street · int8 · null sink: worse: 0.60 × the fps")
    assert said[1].startswith("3 street · bf16 · .mp4 sink against 2 street · bf16 · null sink: not distinguishable")
    assert "too few" in said[2]


def test_statement_is_refused_where_the_spread_exceeds_the_difference():
    shaky = entries(result(fps=(40.0, 50.0, 51.0)), result(precision="bf16", fps=(52.0, 53.0, 64.0)))
    assert "not distinguishable" in statements(shaky)[0]


def test_troubles_are_told_once_for_all_settings():
    unsteady = {"frames": 1, "seconds": 1.0, "steady": False}
    found = entries(result(warm_up=unsteady, others_cores=0.9), result("b", warm_up=unsteady, others_cores=0.1))
    told = dict(troubles(document(interrupted=True), found))
    assert told["Not steady"].endswith("in all settings")
    assert told["Not alone"] == "other programs kept up to 0.900 cores busy in 1 street · int8"
    assert "Interrupted" in told


def test_columns_that_nothing_fills_are_left_out():
    titles = [column.title for column in columns_for(entries(result()))]
    assert "GPU" not in titles
    assert "glass p50" not in titles
    assert "GPU" in [column.title for column in columns_for(entries_of(rich_document()))]


def test_svg_and_pixels_draw_the_same_shapes():
    figure = Figure(100, 50, "a <figure>")
    figure.add(
        Box(10, 10, 20, 20, "accent", tip="a & b"), Stroke(((0, 45), (100, 45)), "bad", 2, dashed=True),
        Area(((60, 10), (80, 10), (70, 30)), "good"), Dot(90, 20, 5, "infer", 0.5), Words(10, 40, "x < y", "ink"),
    )  # fmt: skip
    svg = svg_of(figure, css_class="desk")
    for part in (
        'aria-label="a &lt;figure&gt;"',
        'data-tip="a &amp; b"',
        "x &lt; y",
        "stroke-dasharray",
        'opacity="0.5"',
    ):
        assert part in svg
    pixels = pixels_of(figure, scale=2)
    assert pixels.shape == (100, 200, 3)
    np.testing.assert_array_equal(pixels[40, 40], LIGHT["accent"])
    np.testing.assert_array_equal(pixels[30, 140], LIGHT["good"])
    np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255))
    line = (pixels[89:91].reshape(-1, 3) == LIGHT["bad"]).all(axis=1).mean()
    assert 0.3 < line < 0.8  # dashed
    half = (np.array(LIGHT["infer"]) + 255) / 2
    np.testing.assert_allclose(pixels[40, 180], half, atol=1.5)


def test_every_role_has_both_colours_that_can_be_read():
    assert set(DARK) == set(LIGHT)
    sheet = style_sheet()
    for role in LIGHT:
        assert f".f-{role}{{" in sheet
        assert f"--{role}:" in sheet
    for colors, ground in ((LIGHT, (255, 255, 255)), (DARK, (21, 27, 35))):
        for role in ("ink", "muted", "bad", "good"):
            assert contrast(colors[role], ground) >= 4.5, role


def contrast(first, second) -> float:
    """WCAG contrast ratio of two sRGB colours."""

    def luminance(rgb):
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_ticks_and_scales():
    assert ticks(0, 52, 6) == [0, 10, 20, 30, 40, 50]
    assert ticks(3, 3, 5) == [3]
    assert log_ticks(3, 120) == pytest.approx([5, 10, 20, 50, 100])
    scale = Scale(1, 100, 0, 200, logarithmic=True)
    assert [scale.place(value) for value in (0.1, 1, 10, 100, 1e6)] == pytest.approx([0, 0, 100, 200, 200])
    assert Scale(5, 5, 0, 100).place(5) == 0


def test_clipped_text_says_that_it_was_cut():
    assert clipped("short", 500) == "short"
    cut = clipped("a very long label of a setting", 80)
    assert cut.endswith("…")
    assert len(cut) < 16
