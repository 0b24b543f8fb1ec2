"""OpenCV + PyTorch: eval mode, inference_mode, channels last, fp32, the default number of threads."""

import torch
from job import Clock, finish, job_from_arguments, loop, mask_from, network_input

from rtseg.models.bundle import load_bundle
from rtseg.models.definition import open_network

job = job_from_arguments()
card = job.card
network = open_network(load_bundle(job.bundle)).eval().to(memory_format=torch.channels_last)
clock = Clock()


def mask_of(frame):
    """Labels or alpha of one frame."""
    with torch.inference_mode():
        output = network(torch.from_numpy(network_input(frame, card)).to(memory_format=torch.channels_last))
    return mask_from(output.numpy(), job.kind)


loop(job, mask_of, clock)
finish(clock, runtime=f"torch {torch.__version__}")
