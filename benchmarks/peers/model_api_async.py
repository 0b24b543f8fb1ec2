"""OpenVINO Model API: its SegmentationModel behind its AsyncPipeline, composited as in the other loops.

The wrapper resizes, normalises, infers and gives the class map at the frame's size; the requests are its default.
"""

import cv2
import model_api
import numpy as np
from job import Clock, finish, frames_of, job_from_arguments
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import SegmentationModel
from model_api.pipelines import AsyncPipeline

job = job_from_arguments()
facts = job.card["input"]
adapter = OpenvinoAdapter(create_core(), str(job.bundle / "model.onnx"), device="CPU", max_num_requests=0)
settings = {
    "resize_type": "standard",
    "reverse_input_channels": True,
    "mean_values": [value / facts["scale"] for value in facts["mean"]],
    "scale_values": [value / facts["scale"] for value in facts["std"]],
    "soft_threshold": 0.0,
    "return_soft_prediction": False,
    "labels": job.card["classes"]["names"],
}
pipeline = AsyncPipeline(SegmentationModel(adapter, settings, preload=True))
colours = job.colours_bgr
clock = Clock()
writer = None
waiting: dict[int, np.ndarray] = {}
shown = 0


def show() -> bool:
    """Composite the next frame in order, if its result is there."""
    global shown, writer
    answer = pipeline.get_result(shown)
    if answer is None:
        return False
    frame = waiting.pop(shown)
    labels = np.asarray(answer[0].resultImage)
    seen = cv2.addWeighted(frame, 0.5, colours[labels], 0.5, 0)
    if job.out is not None:
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(job.out), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, size)
        writer.write(seen)
    clock.tick()
    shown += 1
    return True


for index, frame in enumerate(frames_of(job)):
    while not pipeline.is_ready():
        pipeline.await_any()
        show()
    waiting[index] = frame
    pipeline.submit_data(frame, index, {})
    while show():
        pass
pipeline.await_all()
while show():
    pass
if writer is not None:
    writer.release()
finish(clock, runtime=f"openvino-model-api {model_api.__version__}")
