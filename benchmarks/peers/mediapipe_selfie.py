"""MediaPipe's selfie segmentation, composited as its own example does: threshold, GaussianBlur of 55 px, where.

The package ships no model (it is fetched from a hub at run time), so the public ONNX conversion of the same model runs
in OpenVINO, which is quicker here than any other runtime: the comparison errs on MediaPipe's side.
"""

import cv2
import numpy as np
import openvino
from job import Clock, finish, job_from_arguments, loop

job = job_from_arguments()
compiled = openvino.Core().compile_model(str(job.bundle), "CPU")
clock = Clock()


def mask_of(frame):
    """Alpha float32 [256, 256] of one frame."""
    rgb = cv2.cvtColor(cv2.resize(frame, (256, 256)), cv2.COLOR_BGR2RGB)
    return np.asarray(compiled(rgb.astype(np.float32)[None] / 255)[0]).squeeze()


loop(job, mask_of, clock)
finish(clock, runtime=f"openvino {openvino.__version__.split('-')[0]}")
