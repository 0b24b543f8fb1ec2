"""Fused GPU kernels in Triton: from the decoded frame to the network's input, and from its output to the picture.

    preprocess   NV12, I420 or RGB -> resized, normalised NCHW, in one pass
    masks        logits -> labels, alpha -> bytes, mask -> one weight map a class property, shares of the classes
    resample     halving, area and bilinear resizing of planes
    blur         the separable, masked, normalised blur
    composite    weight maps and layers -> the picture, in one pass

The kernels themselves are in `device`; the modules here launch them on tensors that the caller has allocated.

Note [Kernels and the CPU reference]
    The CPU draws with bytes: a weight is a byte, a resized plane is bytes again. The kernels do the same arithmetic in
    the same fixed point (OpenCV's: 11 bits for bilinear weights, 10 for a colour matrix, halves of four rounded up),
    so that on equal input they give equal bytes, not only close ones. Only averages over areas that are no powers of
    two and the blur are sums of floats, in which the last bit may differ: there the two agree within one level.

Note [Nothing allocated per frame]
    Objects here are built once: they upload their tables and reserve what lies between two kernels. A call only
    launches, on torch's current stream: no allocation, no copy, no waiting for the device, no launch that depends on
    what is in a tensor. So a call can be captured in a CUDA graph and replayed.

`TRITON_INTERPRET=1`, set before this package is imported, runs every kernel on the CPU, slowly, on CPU tensors.
"""
