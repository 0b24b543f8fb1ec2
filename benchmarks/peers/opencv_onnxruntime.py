"""OpenCV + ONNX Runtime: the loop of ONNX Runtime's own Python examples, with its default session options, fp32."""

import onnxruntime
from job import Clock, finish, job_from_arguments, loop, mask_from, network_input

job = job_from_arguments()
card = job.card
session = onnxruntime.InferenceSession(str(job.bundle / "model.onnx"), providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
clock = Clock()
loop(job, lambda frame: mask_from(session.run(None, {name: network_input(frame, card)})[0], job.kind), clock)
finish(clock, runtime=f"onnxruntime {onnxruntime.__version__}")
