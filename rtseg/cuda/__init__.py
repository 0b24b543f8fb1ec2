"""The device's side of the pipelined path: streams, memory, and the work of one frame, recorded once a slot.

`rtseg.pipeline.slots` decides what happens when; here is what happens. Everything goes through a `DeviceRuntime`, so
that the same code runs on a GPU, and on the CPU for tests, where every stream does its work at once.
"""
