"""The compositor against the formula, in RGB at odd sizes and in 4:2:0 at even ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtseg import color
from rtseg.errors import ConfigError
from rtseg.render import driving, effects
from rtseg.render.background import cell_size_px
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.render.hud import HudState
from rtseg.render.palette import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, PERSON_PALETTE, default_palette
from rtseg.types import Segmentation, Yuv420
from tests.render import reference
from tests.render.parts import (
    as_yuv,
    colorful,
    composite,
    frame_of,
    person_result,
    planes_of,
    street_result,
    worst_difference,
)

ODD, EVEN = (151, 97), (152, 96)
BACKGROUND = [1.0, 0.0]


def picture_of(kind):
    if kind == "rgb":
        return colorful(ODD), ODD
    return as_yuv(colorful(EVEN), matrix=kind, full_range=kind == "bt709"), EVEN


PICTURES = pytest.mark.parametrize("kind", ["rgb", "bt601", "bt709"])


@PICTURES
def test_tint_of_labels_follows_the_formula(kind):
    picture, size_wh = picture_of(kind)
    result = street_result(size_wh)
    expected = reference.tint(picture, result, [0.4] * 19, CITYSCAPES_PALETTE)
    assert worst_difference(composite(effects.Tint(opacity=0.4), picture, result), expected) <= 2


@PICTURES
def test_tint_of_a_matte_follows_the_formula(kind):
    picture, size_wh = picture_of(kind)
    result = person_result(size_wh)
    expected = reference.tint(picture, result, [0.0, 0.7], PERSON_PALETTE)
    assert worst_difference(composite(effects.Tint(opacity=0.7), picture, result), expected) <= 2


@PICTURES
def test_the_tint_of_driving_follows_the_formula(kind):
    picture, size_wh = picture_of(kind)
    result = street_result(size_wh)
    weights = [driving.driving_opacity(name, 0.55) for name in CITYSCAPES_CLASSES]
    palette = driving.driving_palette(CITYSCAPES_CLASSES, CITYSCAPES_PALETTE)
    expected = reference.tint(picture, result, weights, palette)
    effect = effects.Driving(opacity=0.55, outlines=False, legend=False, hud=False)
    assert worst_difference(composite(effect, picture, result), expected) <= 2


@PICTURES
def test_replace_by_a_color_follows_the_formula(kind):
    picture, size_wh = picture_of(kind)
    result = person_result(size_wh)
    expected = reference.replace(picture, result, BACKGROUND, np.full((*size_wh[::-1], 3), (0, 200, 40), np.uint8))
    assert worst_difference(composite(effects.Replace(color="#00c828"), picture, result), expected) <= 2


@PICTURES
def test_replace_by_a_picture_follows_the_formula(kind, tmp_path):
    picture, size_wh = picture_of(kind)
    result = person_result(size_wh)
    backdrop = colorful(size_wh, seed=5)
    cv2.imwrite(str(tmp_path / "wall.png"), backdrop[..., ::-1])
    expected = reference.replace(picture, result, BACKGROUND, backdrop)
    assert worst_difference(composite(effects.Replace(str(tmp_path / "wall.png")), picture, result), expected) <= 2


@PICTURES
@pytest.mark.parametrize("style", ["dark", "grey"])
def test_spotlight_follows_the_formula(kind, style):
    picture, size_wh = picture_of(kind)
    result = person_result(size_wh)
    amounts = {"dark": 0.8, "grey": 0.4} if style == "dark" else {"dark": 0.12, "grey": 0.8}
    expected = reference.spotlight(picture, result, BACKGROUND, **amounts)
    assert worst_difference(composite(effects.Spotlight(style, 0.8), picture, result), expected) <= 2


@PICTURES
@pytest.mark.parametrize("strength", [0.2, 0.5, 1.0])
def test_blur_follows_the_formula(kind, strength):
    picture, size_wh = picture_of(kind)
    result = person_result(size_wh)
    spread_px = strength * 0.05 * size_wh[1]
    cell_px = cell_size_px(spread_px, size_wh, least_px=1 if kind == "rgb" else 2)
    expected = reference.blur(picture, result, BACKGROUND, spread_px=spread_px, cell_px=cell_px)
    assert worst_difference(composite(effects.Blur(strength), picture, result), expected) <= 2


@PICTURES
def test_outline_follows_the_formula(kind):
    picture, size_wh = picture_of(kind)
    result = street_result(size_wh)
    spread_px = 0.87 * np.sqrt(size_wh[0] / 64 * size_wh[1] / 32)
    width_px = 20 * size_wh[1] / 720
    drawn = composite(effects.Outline(width=20, color="#ffffff"), picture, result)
    expected = reference.outline(picture, result, range(1, 20), (255, 255, 255), width_px, spread_px)
    assert worst_difference(expected, picture) > 60
    for plane, other in zip(planes_of(drawn), planes_of(expected), strict=True):
        apart = np.abs(plane.astype(int) - other)
        # One byte of the smoothed edge is a few bytes of the line; flat areas and most of the line agree.
        assert np.quantile(apart, 0.97) <= 2
        assert apart.max() <= 16


@pytest.mark.parametrize("text", ["tint", "blur", "spotlight", "replace:#123456"])
def test_planes_and_rgb_agree(text):
    """The 4:2:0 result turned into RGB is the RGB result, but for chroma at the edges."""
    rgb = color.to_rgb(as_yuv(cv2.GaussianBlur(colorful((192, 128)), (0, 0), 4)))
    result, effect = person_result((192, 128)), effects.parse_effect(text)
    through_planes = color.to_rgb(composite(effect, as_yuv(rgb), result)).astype(int)
    apart = np.abs(through_planes - composite(effect, rgb, result))
    edge = cv2.dilate(((result.alpha_bytes > 0) & (result.alpha_bytes < 255)).astype(np.uint8), np.ones((7, 7))) > 0
    assert np.quantile(apart[~edge], 0.999) <= 6
    assert apart.mean() < 2


UNTOUCHING = [
    ("tint:classes=car,opacity=1", "street"),
    ("outline:classes=car", "street"),
    ("driving:classes=car,legend=no,hud=no", "street"),
    ("tint", "person"),
    ("blur", "subject"),
    ("replace:#ff0000", "subject"),
    ("spotlight", "subject"),
    ("spotlight:grey", "subject"),
]


@pytest.mark.parametrize(("text", "where"), UNTOUCHING)
@pytest.mark.parametrize("kind", ["rgb", "bt709"])
def test_where_the_weight_is_zero_every_byte_is_the_frames_own(text, where, kind):
    picture, size_wh = picture_of(kind)
    result = street_result(size_wh) if where == "street" else person_result(size_wh)
    drawn = composite(effects.parse_effect(text, classes=result.classes), picture, result)
    if where == "street":
        touched = (result.labels == 13).astype(np.uint8)
        touched = cv2.dilate(touched, np.ones((21, 21), np.uint8)) > 0
    else:
        touched = result.alpha_bytes > 0 if where == "person" else result.alpha_bytes < 255
        touched = cv2.dilate(touched.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert 0.02 < touched.mean() < 0.95
    assert worst_difference(drawn, picture) > 10
    for plane, own in zip(planes_of(drawn), planes_of(picture), strict=True):
        free = ~cv2.resize(touched.astype(np.uint8), plane.shape[::-1], interpolation=cv2.INTER_AREA).astype(bool)
        np.testing.assert_array_equal(plane[free], own[free])


ALL = ["driving", "tint", "outline", "blur:1", "replace:#00ff00", "spotlight", "spotlight:grey", "cutout", "none"]


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("kind", ["rgb", "bt601"])
def test_read_only_strided_frames_are_drawn_on_and_left_alone(text, kind):
    """A decoder's planes: read-only, with padding after every row."""
    picture, size_wh = picture_of(kind)

    def padded(plane):
        buffer = np.zeros((plane.shape[0], plane.shape[1] + 24, *plane.shape[2:]), np.uint8)
        buffer[:, : plane.shape[1]] = plane
        buffer.setflags(write=False)
        return buffer[:, : plane.shape[1]]

    strided = padded(picture) if kind == "rgb" else Yuv420(*map(padded, planes_of(picture)), "bt601", False)
    result = person_result(size_wh)
    before = [plane.copy() for plane in planes_of(strided)]
    effect, hud = effects.parse_effect(text), HudState(30.0, 20.0, 0)
    drawn = composite(effect, strided, result, hud=hud)
    assert worst_difference(drawn, composite(effect, picture, result, hud=hud)) == 0
    for plane, own in zip(planes_of(strided), before, strict=True):
        np.testing.assert_array_equal(plane, own)


@pytest.mark.parametrize("text", ["driving", "tint", "blur", "cutout"])
def test_pictures_stay_as_they_were_returned(text):
    """Scratch buffers are used again; returned pictures must not be made of them."""
    result = person_result(EVEN)
    painter = CpuCompositor(
        [effects.parse_effect(text)], classes=result.classes, palette=default_palette(result.classes)
    )
    first = painter.composite(frame_of(as_yuv(colorful(EVEN))), result)
    kept = [plane.copy() for plane in planes_of(first)]
    painter.composite(frame_of(as_yuv(colorful(EVEN, seed=9)), seconds=1.0), result)
    for plane, before in zip(planes_of(first), kept, strict=True):
        np.testing.assert_array_equal(plane, before)


def halo_levels(picture, drawn, result):
    """How far the background beside the subject is from grey, in levels, at most."""
    beside = (result.alpha_bytes == 0) & (cv2.dilate(result.alpha_bytes, np.ones((31, 31), np.uint8)) > 0)
    beside &= ~(cv2.dilate(result.alpha_bytes, np.ones((5, 5), np.uint8)) > 0)
    return int(np.abs(color.to_rgb(drawn).astype(int)[beside] - 128).max())


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
def test_a_saturated_subject_does_not_glow_into_a_grey_background(kind, strength):
    size_wh = (320, 180)
    result = person_result(size_wh, network_wh=(96, 96))
    share = result.alpha[..., None]
    rgb = np.rint(128 * (1 - share) + np.array([255.0, 0, 0]) * share).astype(np.uint8)
    picture = rgb if kind == "rgb" else as_yuv(rgb, full_range=True)
    assert halo_levels(picture, composite(effects.Blur(strength), picture, result), result) <= 2
    plain = cv2.GaussianBlur(rgb, (0, 0), strength * 0.05 * 180)
    plain = np.rint(rgb + (plain.astype(float) - rgb) * (1 - share)).astype(np.uint8)
    assert halo_levels(picture, plain, result) > 10  # what a blur without a mask does


def test_blur_without_background_or_without_subject():
    picture = colorful(ODD)
    for level in (0, 255):
        result = Segmentation(("background", "person"), ODD, network_alpha=np.full((32, 32), level, np.uint8))
        drawn = composite(effects.Blur(0.8), picture, result)
        changed = np.abs(drawn.astype(int) - picture).mean()
        assert changed == 0 if level else changed > 1


def test_cutout_keeps_the_subject_and_hides_the_room():
    size_wh = (192, 108)
    result = person_result(size_wh)
    share = result.alpha[..., None]
    rgb = np.rint(np.array([20, 220, 40]) * (1 - share) + np.array([200, 60, 60]) * share).astype(np.uint8)
    drawn = composite(effects.Cutout(), rgb, result)
    assert drawn.shape == (108, 192, 4)
    np.testing.assert_array_equal(drawn[..., 3], result.alpha_bytes)
    solid = drawn[..., 3] == 255
    np.testing.assert_array_equal(drawn[..., :3][solid], rgb[solid])
    soft = (drawn[..., 3] > 30) & ~solid
    assert np.abs(drawn[..., :3][soft].astype(int) - (200, 60, 60)).mean() < 12
    assert np.abs(rgb[soft].astype(int) - (200, 60, 60)).mean() > 40  # the room's green was in the edge
    hidden = drawn[..., 3] == 0
    assert (drawn[..., :3][hidden].astype(int)[:, 1] < 130).all()


def test_cutout_of_planes_is_that_of_rgb():
    result = person_result(EVEN)
    picture = as_yuv(colorful(EVEN))
    through_rgb = composite(effects.Cutout(), color.to_rgb(picture), result)
    assert worst_difference(composite(effects.Cutout(), picture, result), through_rgb) == 0


def test_two_effects_are_drawn_one_on_top_of_the_other():
    picture, result = colorful(ODD), person_result(ODD)
    blurred = composite(effects.Blur(), picture, result)
    both = composite([effects.Blur(), effects.Tint()], picture, result)
    assert worst_difference(both, composite(effects.Tint(), blurred, result)) == 0
    assert worst_difference(both, blurred) > 10


def test_nothing_hands_the_very_picture_on():
    picture = as_yuv(colorful(EVEN))
    assert composite(effects.Nothing(), picture, person_result(EVEN)) is picture


def test_a_refined_matte_at_frame_size_is_drawn():
    picture, small = colorful(ODD), person_result(ODD)
    refined = Segmentation(small.classes, ODD, network_alpha=small.alpha_bytes)
    for text in ("tint", "blur", "replace:#00ff00"):
        effect = effects.parse_effect(text)
        apart = np.abs(composite(effect, picture, refined).astype(int) - composite(effect, picture, small))
        assert apart.max() <= 6


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ConfigError, match="expected the same size"):
        composite(effects.Tint(), colorful(ODD), person_result(EVEN))


def test_a_palette_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="one a class"):
        CpuCompositor([effects.Tint()], classes=("a", "b"), palette=((0, 0, 0),))


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("size_wh", [(1, 1), (2, 2), (1, 33), (40, 1), (18, 2), (66, 130), (350, 34)])
def test_every_effect_draws_on_every_size(text, size_wh):
    for result in (person_result(size_wh), street_result(size_wh), person_result(size_wh, network_wh=(9, 7))):
        effect = effects.parse_effect(text, classes=result.classes)
        rgb = np.full((*size_wh[::-1], 3), 90, np.uint8)
        drawn = composite(effect, rgb, result, hud=HudState(30.0, 20.0, 0))
        assert drawn.shape[:2] == size_wh[::-1]
        if size_wh[0] % 2 == size_wh[1] % 2 == 0:
            drawn = composite(effect, as_yuv(rgb), result, hud=HudState(30.0, 20.0, 0))
            assert (drawn.shape[2] == 4) if text == "cutout" else isinstance(drawn, Yuv420)


def test_labels_beyond_the_classes_are_left_alone():
    picture = colorful(ODD)
    result = Segmentation(CITYSCAPES_CLASSES, ODD, network_labels=np.full((16, 16), 255, np.uint8))
    assert worst_difference(composite(effects.Tint(), picture, result), picture) == 0
    assert worst_difference(composite(effects.Driving(legend=False), picture, result), picture) == 0


def test_legend_and_hud_stay_readable_under_a_second_effect():
    size_wh = (640, 360)
    picture, result = colorful(size_wh), street_result(size_wh)
    hud = HudState(fps=25.0, frame_age_ms=40.0, dropped=0)
    blur = effects.Blur(classes=("car",))

    def drawn(*chosen):
        with CpuCompositor(chosen, classes=CITYSCAPES_CLASSES, palette=CITYSCAPES_PALETTE) as compositor:
            return compositor.composite(frame_of(picture), result, hud=hud).astype(int)

    panels = np.abs(drawn(effects.Driving()) - drawn(effects.Driving(legend=False, hud=False))).max(axis=2) > 0
    stacked, blurred_alone = drawn(effects.Driving(), blur), drawn(effects.Driving(legend=False, hud=False), blur)
    assert panels.sum() > 1000
    # Panels on top leave everything beside them as it was, and are themselves as bright as their text.
    assert np.array_equal(stacked[~panels], blurred_alone[~panels])
    assert stacked[panels].min(axis=1).max() > 200
