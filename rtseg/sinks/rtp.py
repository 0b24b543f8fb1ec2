"""RTP: H.264 and AAC in packets, and the sender reports that tie their clocks together.

Source: RFC 3550 (RTP and RTCP), RFC 6184 (H.264, packetization mode 1), RFC 3640 (AAC, mode AAC-hbr).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from rtseg.sinks.h264 import units

MOST_PAYLOAD_BYTES: Final = 1380
FRAGMENT: Final = 28
NTP_OFFSET_SECONDS: Final = 2_208_988_800
REPORT_SECONDS: Final = 5.0
SENDER_REPORT: Final = 200


class RtpStream:
    """Numbers and stamps the packets of one kind of media."""

    def __init__(self, *, payload_type: int, rate_hz: int, wall_start_seconds: float) -> None:
        """Take the clock rate, and the time of day (Unix) that is time 0 of the connection for all its streams."""
        self._payload_type = payload_type
        self._rate_hz = rate_hz
        self._wall_start_seconds = wall_start_seconds
        self._sequence = int.from_bytes(os.urandom(2), "big")
        self._first_stamp = int.from_bytes(os.urandom(4), "big")
        self._source = os.urandom(4)
        self._packets = 0
        self._bytes = 0
        self._reported_seconds = -REPORT_SECONDS

    def packet(self, payload: bytes, seconds: Fraction, *, is_last: bool) -> bytes:
        """Return one packet; `is_last` marks the end of a picture or a packet of sound."""
        head = struct.pack(">BBHI", 0x80, self._payload_type | is_last << 7, self._sequence, self._stamp(seconds))
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._packets += 1
        self._bytes += len(payload)
        return head + self._source + payload

    def report(self, seconds: Fraction) -> bytes | None:
        """Return a sender report for this time where one is due; None: not yet."""
        now = time.monotonic()
        if now - self._reported_seconds < REPORT_SECONDS:
            return None
        self._reported_seconds = now
        wall = self._wall_start_seconds + float(seconds) + NTP_OFFSET_SECONDS
        whole, part = int(wall), int((wall % 1) * (1 << 32))
        head = struct.pack(">BBH", 0x80, SENDER_REPORT, 6) + self._source
        return head + struct.pack(
            ">IIIII",
            whole & 0xFFFFFFFF,
            part,
            self._stamp(seconds),
            self._packets & 0xFFFFFFFF,
            self._bytes & 0xFFFFFFFF,
        )

    def _stamp(self, seconds: Fraction) -> int:
        return (self._first_stamp + round(seconds * self._rate_hz)) & 0xFFFFFFFF


def picture_payloads(annex_b: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the payloads of one access unit and whether each is its last."""
    found = units(annex_b)
    for index, unit in enumerate(found):
        is_last_unit = index == len(found) - 1
        if len(unit) <= MOST_PAYLOAD_BYTES:
            yield unit, is_last_unit
            continue
        yield from _fragments(unit, is_last_unit=is_last_unit)


def _fragments(unit: bytes, *, is_last_unit: bool) -> Iterator[tuple[bytes, bool]]:
    indicator = bytes([unit[0] & 0xE0 | FRAGMENT])
    room = MOST_PAYLOAD_BYTES - 2
    for start in range(1, len(unit), room):
        begins, ends = start == 1, start + room >= len(unit)
        mark = bytes([begins << 7 | ends << 6 | unit[0] & 0x1F])
        yield indicator + mark + unit[start : start + room], is_last_unit and ends


def sound_payload(aac: bytes) -> bytes:
    """Return the payload of one raw AAC packet."""
    return struct.pack(">HH", 16, len(aac) << 3) + aac
