"""MPEG-TS in datagrams: whole packets, tables for whoever comes in late, and nobody has to listen."""

from __future__ import annotations

import socket

import pytest

from rtseg.errors import ConfigError, SinkError
from rtseg.sinks import open_sink
from rtseg.sinks.address import parse_address
from rtseg.sinks.transport import DATAGRAM_BYTES, PACKET_BYTES, Datagrams, TransportCarrier, has_protocol
from tests.sinks.receivers import BeepAndFlash, free_port


@pytest.fixture
def heard():
    """A socket that everything is sent to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(0.3)
        yield ear


def datagrams(ear: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(ear.recv(65536))
    except TimeoutError:
        return found


def test_datagrams_hold_whole_packets(heard):
    signal = BeepAndFlash()
    sink = open_sink(f"udp://127.0.0.1:{heard.getsockname()[1]}")
    sink.open(signal.stream)
    for index in range(70):
        sink.write(signal.frame(index), None)
    sink.close()
    got = datagrams(heard)
    assert max(map(len, got)) <= DATAGRAM_BYTES
    assert all(len(datagram) % PACKET_BYTES == 0 for datagram in got)
    packets = [datagram[at : at + PACKET_BYTES] for datagram in got for at in range(0, len(datagram), PACKET_BYTES)]
    assert {packet[0] for packet in packets} == {0x47}
    tables = [packet for packet in packets if (packet[1] & 0x1F) == 0 and packet[2] == 0]
    assert len(tables) >= 10  # every tenth of a second or so, of 2.3 s


def test_nobody_has_to_listen():
    signal = BeepAndFlash()
    sink = open_sink(f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
    sink.open(signal.stream)
    for index in range(30):
        sink.write(signal.frame(index), None)
    sink.close()


def test_no_such_host():
    with pytest.raises(SinkError, match="no address for the host"):
        open_sink("udp://no-such-host.invalid:5000").open(BeepAndFlash().stream)


@pytest.mark.parametrize("query", ["ttl=many", "ttl=4000", "localaddr=nowhere"])
def test_options_of_multicast_that_cannot_be_set(query):
    with pytest.raises(ConfigError, match="ttl or localaddr"):
        Datagrams(parse_address(f"udp://239.1.2.3:5000?{query}"))


def test_options_of_multicast_are_set():
    out = Datagrams(parse_address("udp://239.1.2.3:5000?ttl=7&localaddr=127.0.0.1"))
    assert out._socket.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
    out.close()


def test_the_path_of_srt_by_ffmpeg_s_own_protocol(heard):
    """SRT goes through FFmpeg's URL; with udp:// in its place the same code runs where FFmpeg has no SRT."""
    signal = BeepAndFlash()
    sink = open_sink(f"udp://127.0.0.1:{heard.getsockname()[1]}")
    sink._make_carrier = TransportCarrier
    sink.open(signal.stream)
    for index in range(20):
        sink.write(signal.frame(index), None)
    sink.close()
    assert b"".join(datagrams(heard))[0] == 0x47


def test_protocols_are_found_without_a_network():
    assert has_protocol("udp")
    assert not has_protocol("nosuchprotocol")
