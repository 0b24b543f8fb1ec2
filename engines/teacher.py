"""Split coarse street labels into fine ones with a public teacher, and label unlabelled frames with it.

Where a frame has a coarse label, the teacher only chooses among the classes that label allows, and only where it is
sure; the coarse label stays in force everywhere else. The result is one target picture (see taxonomy.py) a frame,
written outside the project.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from footage import label_path, pictures, read_ids, read_rgb, shared_folder, training_pictures
from taxonomy import CAMVID_TO_FINE, COARSE_SETS, IDD_TO_FINE, IGNORED, STREET_CLASSES, extended_ids

MEAN = np.array((0.485, 0.456, 0.406), np.float32) * 255
STD = np.array((0.229, 0.224, 0.225), np.float32) * 255


class Teacher:
    """FDDWNet at 512x1024 through OpenVINO; returns class probabilities at a picture's size."""

    def __init__(self, threads: int) -> None:
        import openvino as ov

        model = shared_folder() / "weights" / "fddwnet_512x1024.onnx"
        self._compiled = ov.Core().compile_model(str(model), "CPU", {"INFERENCE_NUM_THREADS": threads})

    def probabilities(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return float32 [H, W, 19]."""
        height, width = rgb.shape[:2]
        resized = cv2.resize(rgb, (1024, 512), interpolation=cv2.INTER_LINEAR)
        batch = ((resized.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None]
        logits = np.asarray(self._compiled(batch)[0])[0]
        small = cv2.resize(logits.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
        raised = np.exp(small - small.max(2, keepdims=True))
        shares: npt.NDArray[np.float32] = raised / raised.sum(2, keepdims=True)
        return shares


def refined(
    targets: npt.NDArray[np.uint8], shares: npt.NDArray[np.float32], sure: float = 0.6
) -> npt.NDArray[np.uint8]:
    """Return targets whose coarse ids became fine where the teacher, kept inside the set, is sure."""
    out = targets.copy()
    for index, members in enumerate(COARSE_SETS):
        mask = targets == len(STREET_CLASSES) + index
        if mask.any():
            inside = shares[mask][:, list(members)]
            best, conditional = inside.argmax(1), inside.max(1) / (inside.sum(1) + 1e-9)
            trusted = (conditional > sure) & (inside.sum(1) > 0.2)
            values = out[mask]
            values[trusted] = np.array(members, np.uint8)[best[trusted]]
            out[mask] = values
    return out


def guessed(shares: npt.NDArray[np.float32], sure: float = 0.75) -> npt.NDArray[np.uint8]:
    """Return fine ids where the teacher is sure, 255 elsewhere."""
    ids = shares.argmax(2).astype(np.uint8)
    ids[shares.max(2) < sure] = IGNORED
    return ids


def main() -> None:
    """Write the target pictures of all street training frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    teacher = Teacher(options.threads)
    for set_name, sets in (("camvid", CAMVID_TO_FINE), ("idd_lite", IDD_TO_FINE), ("idd_lite_unlabelled", None)):
        folder = options.folder / set_name
        folder.mkdir(parents=True, exist_ok=True)
        paths = pictures("idd_lite", "unlabelled") if sets is None else training_pictures(set_name)
        for path in paths:
            shares = teacher.probabilities(read_rgb(path))
            if sets is None:
                target = guessed(shares)
            else:
                target = refined(extended_ids(sets)[read_ids(label_path(path))], shares)
            cv2.imwrite(str(folder / f"{path.stem}.png"), target)
        print(set_name, len(paths), flush=True)


if __name__ == "__main__":
    main()
