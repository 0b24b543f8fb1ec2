"""Choose photographs of people that a teacher can be asked about: no doubles, nothing held back, both networks agree.

    python engines/unlabelled_people.py --pictures FOLDER [FOLDER ...] --out SET --teacher mediapipe_selfie_256.onnx \
        [--not-like FOLDER ...] [--keep-empty]

Writes `SET/images`, pictures without labels. One is kept where the teacher is sure nearly everywhere and the shipped
`person` sees the same people; posters, drawings, statues and crowds mostly fail that. `--not-like` names pictures that
must not come back under another name, such as those kept for validation: likeness is told by the signs of the
brightness differences at 16x16, mirrored too, which survive resizing, stretching and compression. `--keep-empty` keeps
pictures in which both see nobody, for sets that were looked at.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
LONGEST_PX, SMALLEST_PX = 480, 200
ALIKE_BITS = 40
"""Of 256: two pictures that differ in fewer are the same one; strangers differ in about 128."""
SMALLEST_SHARE, LARGEST_EMPTY_SHARE = 0.04, 0.003
AGREEMENT, SURE_SHARE, SURE = 0.7, 0.88, (0.2, 0.8)
_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


def fingerprint(bgr: Picture) -> Picture:
    """Return uint8 [32]: 256 signs of the brightness differences along the rows at 16x16."""
    grey = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits((grey[:, 1:] > grey[:, :-1]).ravel())


class Seen:
    """Pictures that have been there, and their mirror images."""

    def __init__(self) -> None:
        self._prints: list[Picture] = []

    def add(self, bgr: Picture) -> None:
        """Remember a picture."""
        self._prints += [fingerprint(bgr), fingerprint(np.ascontiguousarray(bgr[:, ::-1]))]

    def knows(self, bgr: Picture) -> bool:
        """Return whether it is one of them."""
        if not self._prints:
            return False
        differing = _BITS[np.array(self._prints) ^ fingerprint(bgr)].sum(axis=1)
        return bool(differing.min() < ALIKE_BITS)


def is_clear(teacher: npt.NDArray[np.float32], other: npt.NDArray[np.float32], *, keep_empty: bool = False) -> bool:
    """Return whether two mattes [H, W], 0..1, see the same people, and the first is sure of them."""
    first, second = teacher > 0.5, other > 0.5
    either, both = (first | second).mean(), (first & second).mean()
    if either < LARGEST_EMPTY_SHARE:
        return keep_empty
    sure = ((teacher < SURE[0]) | (teacher > SURE[1])).mean()
    return bool(either > SMALLEST_SHARE and both / either > AGREEMENT and sure > SURE_SHARE)


def pictures_in(folders: Iterable[Path]) -> Iterator[tuple[Path, Picture]]:
    """Yield every picture that can be read, folder by folder in the order of their names."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
                bgr = cv2.imread(str(path))
                if bgr is not None:
                    yield path, np.asarray(bgr, np.uint8)


def shrunk(bgr: Picture) -> Picture:
    """Return the picture with no side longer than 480 pixels."""
    scale = min(1.0, LONGEST_PX / max(bgr.shape[:2]))
    size_wh = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
    return np.asarray(cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _matte(segmenter: Any, bgr: Picture) -> npt.NDArray[np.float32]:
    alpha = segmenter(np.ascontiguousarray(bgr[..., ::-1])).alpha
    if alpha is None:
        raise SystemExit("unlabelled_people: got a model without alpha; expected one that gives mattes. Name another.")
    return np.asarray(alpha, np.float32)


def choose(options: argparse.Namespace, teacher: Any, other: Any) -> dict[str, int]:
    """Write the chosen pictures, and return how many there were of each kind."""
    seen, counts = Seen(), {"kept": 0, "small": 0, "seen before": 0, "unclear": 0}
    for _, bgr in pictures_in(options.not_like):
        seen.add(bgr)
    images = options.out / "images"
    images.mkdir(parents=True, exist_ok=True)
    for path, found in pictures_in(options.pictures):
        bgr = shrunk(found)
        if min(found.shape[:2]) < SMALLEST_PX:
            kind = "small"
        elif seen.knows(bgr):
            kind = "seen before"
        elif not is_clear(_matte(teacher, bgr), _matte(other, bgr), keep_empty=options.keep_empty):
            kind = "unclear"
        else:
            kind = "kept"
            seen.add(bgr)
            name = f"{path.parent.name}_{path.stem}_{counts['kept']}.jpg"
            cv2.imwrite(str(images / name), bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
        counts[kind] += 1
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose, and say how many pictures were kept and why the others were not."""
    import rtseg

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--not-like", type=Path, nargs="*", default=[])
    parser.add_argument("--keep-empty", action="store_true")
    options = parser.parse_args(arguments)
    teacher = rtseg.load(
        options.teacher, classes=("background", "person"), layout="NHWC", channel_order="RGB", scale=1 / 255,
        mean=(0, 0, 0), std=(1, 1, 1), output_kind="alpha", edges=False,
    )  # fmt: skip
    print(json.dumps(choose(options, teacher, rtseg.load("person"))))


if __name__ == "__main__":
    main()
