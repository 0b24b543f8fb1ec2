"""The kernels: code for the GPU, in Triton. Launched by the modules of `rtseg.kernels`, which check and document."""
