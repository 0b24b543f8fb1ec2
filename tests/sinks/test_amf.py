"""AMF0 there and back, and bytes that are none."""

from __future__ import annotations

import pytest

from rtseg.sinks import amf


def test_there_and_back():
    values = ["connect", 1.0, {"app": "live", "flag": True, "none": None, "deep": {"x": 2.5}}, None, False]
    assert amf.decoded(amf.encoded(*values)) == values


def test_an_array_of_metadata():
    assert amf.decoded(amf.ecma_array({"width": 640.0, "encoder": "rtseg"})) == [{"width": 640.0, "encoder": "rtseg"}]


def test_known_bytes():
    assert amf.encoded("a", 1.0) == b"\x02\x00\x01a\x00\x3f\xf0\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    "content",
    [b"\x02\x00\x09abc", b"\x00\x01", b"\x03\x00\x01a", b"\x63", b"\x0a\xff\xff\xff\xff", b"\x03\x00\x01a\x03" * 20],
)
def test_nonsense_is_refused(content):
    with pytest.raises(amf.AmfError):
        amf.decoded(content)
