"""Building: a network to ONNX, calibration and 8-bit quantization, the parity report that judges the result."""
