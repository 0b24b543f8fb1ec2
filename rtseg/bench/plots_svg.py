"""A figure as inline SVG: colours by class names, so that the page's style decides, and tips as plain titles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rtseg.bench.plots_drawing import Area, Box, Dot, Figure, Shape, Stroke, Words


def svg_of(figure: Figure, *, css_class: str = "") -> str:
    """Return the figure as an SVG element that scales with its surroundings; every text is escaped."""
    body = "".join(_element(shape) for shape in figure.shapes)
    size = f"{figure.width:.0f} {figure.height:.0f}"
    return (
        f'<svg class="figure {escape(css_class)}" viewBox="0 0 {size}" role="img" '
        f'aria-label="{escape(figure.summary)}" xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def _element(shape: Shape) -> str:
    if isinstance(shape, Box):
        return _box(shape)
    if isinstance(shape, Stroke):
        return _stroke(shape)
    if isinstance(shape, Area):
        return _area(shape)
    return _dot(shape) if isinstance(shape, Dot) else _words(shape)


def _box(shape: Box) -> str:
    place = f'x="{shape.x:.2f}" y="{shape.y:.2f}" width="{max(0.0, shape.width):.2f}" height="{shape.height:.2f}"'
    return _closed("rect", f'{place} rx="{shape.radius:g}" class="f-{shape.role}"{_opacity(shape.opacity)}', shape.tip)


def _stroke(shape: Stroke) -> str:
    dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
    opacity = _opacity(shape.opacity)
    return (
        f'<polyline points="{_points(shape.points)}" class="s-{shape.role}" '
        f'stroke-width="{shape.width:g}"{dashes}{opacity}/>'
    )


def _area(shape: Area) -> str:
    return _closed(
        "polygon", f'points="{_points(shape.points)}" class="f-{shape.role}"{_opacity(shape.opacity)}', shape.tip
    )


def _dot(shape: Dot) -> str:
    place = f'cx="{shape.x:.2f}" cy="{shape.y:.2f}" r="{shape.radius:g}"'
    return _closed("circle", f'{place} class="f-{shape.role}"{_opacity(shape.opacity)}', shape.tip)


def _words(shape: Words) -> str:
    weight = ' font-weight="600"' if shape.bold else ""
    anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
    return (
        f'<text x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size:g}" '
        f'class="f-{shape.role}"{anchor}{weight}>{escape(shape.text)}</text>'
    )


def _closed(name: str, attributes: str, tip: str) -> str:
    """Return an element, with a tip where there is one: a title for everybody, `data-tip` for the page's script."""
    if not tip:
        return f"<{name} {attributes}/>"
    return f'<{name} {attributes} data-tip="{escape(tip)}"><title>{escape(tip)}</title></{name}>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _opacity(opacity: float) -> str:
    return "" if opacity >= 1 else f' opacity="{opacity:g}"'
