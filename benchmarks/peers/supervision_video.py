"""supervision's video pipeline around our model: process_video with a callback and its own MaskAnnotator.

The callback runs the same weights in ONNX Runtime; frames are read, annotated and written by supervision, which always
writes a file. One detection a class, its mask at the frame's size, as its semantic-segmentation guides do.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import supervision as sv
from job import Clock, finish, job_from_arguments, mask_from, network_input

job = job_from_arguments()
card = job.card
session = onnxruntime.InferenceSession(str(job.bundle / "model.onnx"), providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
palette = sv.ColorPalette([sv.Color(r=int(r), g=int(g), b=int(b)) for b, g, r in job.colours_bgr])
annotator = sv.MaskAnnotator(color=palette, opacity=0.5)
clock = Clock()


def callback(frame: np.ndarray, _index: int) -> np.ndarray:
    """Annotate one frame."""
    labels = mask_from(session.run(None, {name: network_input(frame, card)})[0], job.kind)
    full = cv2.resize(labels, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_NEAREST)
    present = np.unique(full)
    masks = full[None] == present[:, None, None]
    detections = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=present.astype(int))
    seen = annotator.annotate(frame.copy(), detections)
    clock.tick()
    return seen


with tempfile.TemporaryDirectory() as folder:
    target = job.out or Path(folder) / "seen.mp4"
    sv.process_video(source_path=str(job.video), target_path=str(target), callback=callback, max_frames=job.frames)
finish(clock, runtime=f"supervision {sv.__version__}, onnxruntime {onnxruntime.__version__}")
