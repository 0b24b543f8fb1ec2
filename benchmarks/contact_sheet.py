"""One sheet of pictures per bundle, from every clip and picture of a folder tree: look at it before you ship.

A row of frames a clip, spread evenly over it (over its first frames, if it is long), each drawn with the bundle's
default effect as a stream would begin with it, edges refined. Files that cannot be played are skipped with a line.

    python benchmarks/contact_sheet.py street person --media ../shared/media --out SHEETS [--frames 4] [--effect NAME]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import rtseg
from rtseg.api import effects_for
from rtseg.builder.calibration import evenly
from rtseg.color import to_rgb
from rtseg.errors import RtsegError, SourceError
from rtseg.render.compositor_cpu import CpuCompositor
from rtseg.segmenter import Segmenter
from rtseg.types import Frame

CELL_WH = (384, 216)
CAPTION_PX = 22
LIGHT = (235, 235, 235)


def drawn(segmenter: Segmenter, frame: Frame, effect: str | None) -> NDArray[np.uint8]:
    """Return one frame as the beginning of a stream would show it, rgb uint8 [H, W, 3]."""
    result = segmenter.session().submit(frame).result()
    effects = effects_for(segmenter.bundle, None if effect is None else [effect], None)
    with CpuCompositor(effects, classes=segmenter.classes, palette=segmenter.palette) as compositor:
        return to_rgb(compositor.composite(frame, result))


def cell(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture inside one cell of the sheet, its proportions kept, uint8 [h, w, 3]."""
    height, width = rgb.shape[:2]
    scale = min(CELL_WH[0] / width, CELL_WH[1] / height)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (CELL_WH[0] - size_wh[0]) // 2, (CELL_WH[1] - size_wh[1]) // 2
    sheet = np.zeros((CELL_WH[1], CELL_WH[0], 3), np.uint8)
    sheet[top : top + size_wh[1], left : left + size_wh[0]] = small
    return sheet


def tile(pictures: Sequence[NDArray[np.uint8]], caption: str) -> NDArray[np.uint8]:
    """Return a captioned row of cells, uint8 [h, w, 3]."""
    bar = np.full((CAPTION_PX, CELL_WH[0] * len(pictures), 3), 40, np.uint8)
    cv2.putText(bar, caption, (6, CAPTION_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, LIGHT, 1, cv2.LINE_AA)
    return np.vstack([bar, np.hstack([cell(picture) for picture in pictures])])


def laid_out(tiles: Iterable[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Return the tiles in reading order on a sheet of so many cells a row."""
    width = CELL_WH[0] * columns
    rows: list[list[NDArray[np.uint8]]] = [[]]
    for one in tiles:
        if sum(other.shape[1] for other in rows[-1]) + one.shape[1] > width:
            rows.append([])
        rows[-1].append(one)
    lines = [np.hstack(row) for row in rows]
    return np.vstack(
        [np.pad(line, ((0, 6), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    )


def clip_tile(segmenter: Segmenter, path: Path, caption: str, arguments: argparse.Namespace) -> NDArray[np.uint8]:
    """Return the row of one clip, one cell for a still. Raises RtsegError where it cannot be played."""
    with rtseg.open_source(path) as source:
        frames = evenly(islice(source.frames(), arguments.longest), arguments.frames)
    if not frames:
        raise SourceError("got no frame; expected at least one.")
    return tile([drawn(segmenter, frame, arguments.effect) for frame in frames], caption)


def sheet_of(segmenter: Segmenter, arguments: argparse.Namespace) -> NDArray[np.uint8]:
    """Return the sheet of one model, two clips beside each other; say what was skipped."""
    tiles = []
    for path in sorted(path for path in arguments.media.rglob(arguments.only) if path.is_file()):
        name = str(path.relative_to(arguments.media))
        try:
            tiles.append(clip_tile(segmenter, path, name, arguments))
        except RtsegError as error:
            print(f"skipped {name}: {error}")
    if not tiles:
        raise SystemExit(f"contact sheet: got nothing that plays in {arguments.media}; expected clips. Check --media.")
    return laid_out(tiles, 2 * arguments.frames)


def main() -> int:
    """Make a sheet for every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="bundle names or folders")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--out", type=Path, default=Path(), help="folder for MODEL.sheet.jpg")
    parser.add_argument("--only", default="*", help="files by pattern, such as office_sign_*")
    parser.add_argument("--frames", type=int, default=4, help="frames a clip")
    parser.add_argument("--longest", type=int, default=600, help="spread over at most so many first frames of a clip")
    parser.add_argument("--effect", help="instead of the bundle's own, such as tint")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for model in arguments.models:
        with rtseg.load(model) as segmenter:
            sheet = sheet_of(segmenter, arguments)
        path = arguments.out / f"{Path(model).name}.sheet.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        print(f"{path}: {sheet.shape[1]}x{sheet.shape[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
