"""Offers that are read, addresses that are sent to, and frames that are not waited for."""

from __future__ import annotations

import ifaddr
import pytest
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from rtseg.errors import ConfigError
from rtseg.serve import rtc

CANDIDATES = {
    "127.0.0.1": True,
    "203.0.113.9": False,
    "stranger.local": False,
    "no address": False,
}


def offer_with(hosts) -> str:
    lines = [f"a=candidate:1 1 udp 100 {host} 5000 typ host" for host in hosts]
    return "\r\n".join(["v=0", "m=video 9 x 97", *lines, "a=end-of-candidates", "a=mid:0"]) + "\r\n"


def test_a_loopback_server_sends_to_this_machine_only():
    own = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)}
    left = rtc.own_candidates_only(offer_with([*CANDIDATES, *own]))
    for host, kept in {**CANDIDATES, **dict.fromkeys(own, True)}.items():
        assert (f" {host} 5000 " in left) == kept, host
    assert "end-of-candidates" not in left  # the other side's own checks are waited for
    assert "a=mid:0" in left


def test_another_server_takes_addresses_but_no_names():
    left = rtc.literal_candidates_only(offer_with(["203.0.113.9", "stranger.local", "224.0.0.1", "0.0.0.0", "fd00::7"]))
    assert [host in left for host in ("203.0.113.9", "stranger.local", "224.0.0.1", "0.0.0.0", "fd00::7")] == [
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"sdp": 1},
        {"sdp": "x"},
        {"sdp": "v=0", "type": "answer"},
        {"sdp": "v=0\0"},
        {"sdp": "v=0" + "x" * 200_000},
        {"sdp": "v=0" + "\nm=video" * 9},
        {"sdp": "v=0\r\nm=video 9 x 97\r\nm=audio 9 x 96\r\n"},
        {"sdp": "v=0\r\nm=video 9 x 97\r\nm=video 9 x 97\r\n"},
        {"sdp": "v=0\r\nm=application 9 x 97\r\n"},
    ],
)
def test_what_can_be_no_offer_is_refused(body):
    with pytest.raises(ConfigError, match="expected"):
        rtc.checked_offer(body)


def packet(number: int, timestamp: int, marker: int) -> RtpPacket:
    made = RtpPacket(payload_type=97, sequence_number=number, timestamp=timestamp)
    made.marker, made._data = marker, b"%d" % number
    return made


def test_a_frame_is_given_with_its_last_packet_not_with_the_next_frame():
    early, late = rtc.MarkedJitterBuffer(512, is_video=True), JitterBuffer(512, is_video=True)
    packets = [packet(0, 100, 0), packet(1, 100, 1), packet(2, 200, 1)]
    given = [early.add(one)[1] for one in packets]
    assert given[0] is None
    assert given[1].data == b"01"
    assert given[2].data == b"2"
    assert late.add(packets[0])[1] is None
    assert late.add(packets[1])[1] is None  # the control: aiortc's own waits


def test_packets_in_the_wrong_order_still_make_whole_frames():
    early = rtc.MarkedJitterBuffer(512, is_video=True)
    given = [early.add(one)[1] for one in (packet(0, 100, 0), packet(2, 200, 1), packet(1, 100, 1), packet(3, 300, 1))]
    assert [None if frame is None else frame.data for frame in given] == [None, None, b"01", b"2"]


def test_the_consent_is_asked_for_often_enough():
    import aioice.ice

    slowest_seconds = aioice.ice.CONSENT_FAILURES * (aioice.ice.CONSENT_INTERVAL * 1.2 + 0.5)
    assert slowest_seconds < 10


def test_a_decoder_that_falls_behind_gets_a_keyframe_instead_of_a_queue():
    asked = []
    waiting = rtc.ShortQueue(lambda: asked.append(1))
    for number in range(rtc.MOST_CODED_FRAMES):
        waiting.put(number)
    assert asked == []
    waiting.put("newest")
    assert asked == [1]
    waiting.put(None)
    assert [waiting.get(), waiting.get()] == ["newest", None]


def test_a_receiver_really_gets_the_short_queue_and_the_early_frames():
    from tests.serve.parts import run

    async def work() -> None:
        connection = rtc.new_connection()
        receiver = connection.addTransceiver("video").receiver
        rtc.take_frames_early(receiver)
        kinds = {type(value) for value in vars(receiver).values()}
        assert {rtc.ShortQueue, rtc.MarkedJitterBuffer} <= kinds
        await connection.close()

    run(work())


def test_an_offer_of_one_video_is_taken():
    sdp = "v=0\r\nm=video 9 x 97\r\nm=application 9 x 97\r\n"
    assert rtc.checked_offer({"sdp": sdp}) == sdp
