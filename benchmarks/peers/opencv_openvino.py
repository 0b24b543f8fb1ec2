"""OpenCV + OpenVINO: the synchronous loop of OpenVINO's own notebooks, compiled for CPU with its defaults."""

import openvino
from job import Clock, finish, job_from_arguments, loop, mask_from, network_input

job = job_from_arguments()
card = job.card
compiled = openvino.Core().compile_model(str(job.bundle / "model.onnx"), "CPU")
precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
clock = Clock()
loop(job, lambda frame: mask_from(compiled(network_input(frame, card))[0], job.kind), clock)
finish(clock, runtime=f"openvino {openvino.__version__.split('-')[0]}", precision=precision)
