"""Who decodes or encodes, and why not the GPU, in words."""

from __future__ import annotations

from rtseg.codec_words import codec_user, reason_of


def test_the_reason_is_the_first_complaint_else_the_exceptions_text():
    said = [(16, "CUDA", "Cannot load libnvcuvid.so.1\n"), (16, "h264", "Failed setup for format cuda\n")]
    assert reason_of(said, RuntimeError("x")) == "Cannot load libnvcuvid.so.1"
    assert reason_of([], NotImplementedError("No supported hardware config.")) == "No supported hardware config"
    assert reason_of([(16, "", "so\n  it   is " + 200 * "x")], RuntimeError()).startswith("so it is xxx")
    assert len(reason_of([(16, "", 200 * "x")], RuntimeError())) == 160


def test_the_cpu_is_named_with_its_reason():
    assert codec_user("nvdec", "") == "nvdec"
    assert codec_user("nvdec", "Cannot load libcuda.so.1") == "cpu (Cannot load libcuda.so.1)"
