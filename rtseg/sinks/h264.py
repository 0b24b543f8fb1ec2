"""The little of H.264 and AAC that carriers have to know: where units begin, and what their headers say.

Source: ITU-T H.264 (Annex B), ISO/IEC 14496-15 (avcC), ISO/IEC 14496-3 (AudioSpecificConfig, ADTS).
"""

from __future__ import annotations

import re
import struct
from typing import Final

from rtseg.errors import SinkError

SPS, PPS, DELIMITER = 7, 8, 9
_START: Final = re.compile(rb"\x00\x00\x01")


def units(annex_b: bytes) -> list[bytes]:
    """Return the NAL units of a stretch in Annex B form, without start codes; delimiters are left out."""
    starts = [(found.start(), found.end()) for found in _START.finditer(annex_b)]
    ends = [begin for begin, _ in starts[1:]] + [len(annex_b)]
    # A zero before the next start code belongs to that code; a unit itself never ends with one.
    found = [annex_b[begin:end].rstrip(b"\x00") for (_, begin), end in zip(starts, ends, strict=True)]
    return [unit for unit in found if unit and unit_type(unit) != DELIMITER]


def unit_type(unit: bytes) -> int:
    """Return the type of a NAL unit."""
    return unit[0] & 0x1F


def parameter_sets(headers: bytes) -> tuple[bytes, bytes]:
    """Return SPS and PPS out of headers in Annex B form. Raises SinkError where they are not there."""
    found = {unit_type(unit): unit for unit in units(headers)}
    if SPS not in found or PPS not in found:
        raise SinkError("H.264 headers: got no SPS and PPS from the encoder; expected both. Please report this.")
    return found[SPS], found[PPS]


def avc_configuration(headers: bytes) -> bytes:
    """Return the AVCDecoderConfigurationRecord of headers in Annex B form."""
    sps, pps = parameter_sets(headers)
    record = bytes([1, sps[1], sps[2], sps[3], 0xFF, 0xE1])
    record += struct.pack(">H", len(sps)) + sps + b"\x01" + struct.pack(">H", len(pps)) + pps
    if sps[1] in (100, 110, 122, 244):  # High and above say their format once more; ours is 4:2:0 in 8 bits
        record += bytes([0xFD, 0xF8, 0xF8, 0])
    return record


def with_lengths(annex_b: bytes) -> bytes:
    """Return the units with their lengths in four bytes before them, in place of start codes."""
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units(annex_b))


def with_adts(aac: bytes, config: bytes) -> bytes:
    """Return a raw AAC packet with the ADTS header that its AudioSpecificConfig stands for."""
    kind, rate_index = config[0] >> 3, (config[0] & 7) << 1 | config[1] >> 7
    channels = config[1] >> 3 & 0xF
    length = len(aac) + 7
    header = bytes(
        [
            0xFF,
            0xF1,
            (kind - 1) << 6 | rate_index << 2 | channels >> 2,
            (channels & 3) << 6 | length >> 11,
            length >> 3 & 0xFF,
            (length & 7) << 5 | 0x1F,
            0xFC,
        ]
    )
    return header + aac
