"""Network streams: RTSP, RTMP, HTTP (MJPEG, HLS, MPEG-TS, plain files), UDP and SRT, through PyAV.

Live ones are read packet by packet, so that a pipeline can see how far decoding lags behind; a stream that has a
length (a file or a recording behind an http address) is read like a file, to its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from rtseg.audio_feed import AudioFeed
from rtseg.errors import DecodeError, SourceError
from rtseg.sources import stream_errors
from rtseg.sources.base import CodedPacket, PacketSource, SourceInfo, SourceState
from rtseg.sources.interrupting import Interrupt
from rtseg.sources.live_clock import TIME_BASE, LiveClock
from rtseg.sources.naming import count_of
from rtseg.sources.pixels import PictureReader
from rtseg.sources.stream_address import (
    PROBE_BYTES,
    PROBE_SECONDS,
    check_stream_options,
    demuxer_options,
    parse_address,
)
from rtseg.sources.stream_facts import (
    changes_between,
    describe_stream,
    is_paced_by_its_times,
    is_timed_by_arrival,
    length_seconds,
    note_broken,
    sound_format,
)
from rtseg.sources.stream_pacing import Pacer
from rtseg.types import Frame

OPEN_SECONDS: Final = 10.0
"""How long connecting, and then waiting for the first picture, may take each."""
READ_SECONDS: Final = 10.0
"""After so long without a byte, a live stream counts as lost even where nobody watches it."""
MOST_BAD_READS_IN_A_ROW: Final = 64
"""After so many reads that failed with no packet between them, the connection counts as lost."""


class StreamSource(PacketSource):
    """A network stream; live, unless it has a length.

    Threading: as `PacketSource`; `interrupt`, `state` and `state_detail` from any thread.
    """

    def __init__(
        self,
        address: str,
        *,
        transport: str = "tcp",
        open_timeout_seconds: float = OPEN_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
        probe_bytes: int = PROBE_BYTES,
        low_delay: bool = True,
        tls_verify: bool = True,
        live: bool | None = None,
        thread_count: int = 0,
        duration_seconds: float | None = None,
        source_id: str | None = None,
        ffmpeg: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the stream; nothing is opened yet.

        Args:
            address: URL, credentials included; they are never shown.
            transport: of RTSP: "tcp" (nothing is lost on the way), "udp", "udp_multicast" or "http".
            open_timeout_seconds: how long connecting, and then waiting for the first picture, may take each.
            probe_seconds: how much of the stream may be looked at to find out what it holds.
            probe_bytes: the same in bytes.
            low_delay: ask the decoder to hold no picture back.
            tls_verify: refuse a certificate that is not trusted.
            live: True: the newest frame counts; False: every frame does; None: live unless it has a length.
            thread_count: decoder threads, 0 chooses; they share pictures, so none is held back.
            duration_seconds: end after so much; None is without end.
            source_id: name in stats and file names; None is made from the address.
            ffmpeg: options of FFmpeg by their own names; they win over everything else.

        Raises:
            ConfigError: an address or an option that cannot be right.
        """
        super().__init__()
        self._address = parse_address(address)
        check_stream_options(
            self._address, transport, open_timeout_seconds, probe_seconds, probe_bytes, duration_seconds
        )
        self._options = demuxer_options(
            self._address,
            transport=transport,
            tls_verify=tls_verify,
            probe_seconds=probe_seconds,
            probe_bytes=probe_bytes,
        ) | dict(ffmpeg or {})
        self._open_seconds = open_timeout_seconds
        self._low_delay = low_delay
        self._asked_live = live
        self._thread_count = thread_count
        self._duration_seconds = duration_seconds
        self._source_id = source_id or self._address.name
        self._interrupt = Interrupt()
        self._container: InputContainer | None = None
        self._video: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._info: SourceInfo | None = None
        self._feed: AudioFeed | None = None
        self._first: list[av.VideoFrame] = []
        self._pictures = PictureReader()
        self._pacer: Pacer | None = None
        self._clock = LiveClock()
        self._by_arrival = False
        self._next_index = 0
        self._skips_disposable = False
        self._is_over = False
        self._state: SourceState = "connecting"

    @property
    def info(self) -> SourceInfo:
        """What is known of the stream. Raises SourceError before `open()`."""
        if self._info is None:
            raise SourceError(f"stream {self._address}: got one that is not open; expected open() first. Open it.")
        return self._info

    @property
    def state(self) -> SourceState:
        """Connecting, live or ended."""
        return self._state

    @property
    def audio(self) -> AudioFeed | None:
        """The sound of the stream, on the timeline of its frames; None: it has none."""
        return self._feed

    @property
    def can_reopen(self) -> bool:
        """True for a live stream."""
        return self._info is None or self._info.live

    @property
    def usual_gap_seconds(self) -> float:
        """The length of the segments of HLS, about; 0 for everything else."""
        return 0.0 if self._pacer is None else self._pacer.usual_gap_seconds

    def interrupt(self) -> None:
        """End an `open` or a read in another thread within a tenth of a second; after `close` it can be used again."""
        self._interrupt.set()

    def open(self) -> None:
        """Connect, find out what there is, and decode the first picture.

        Raises:
            SourceError: it cannot be reached, may not be seen, or is no video.
            DecodeError: its pictures cannot be decoded.
        """
        self._state = "connecting"
        with self._interrupt.covers_this_thread():
            self._container = self._connect()
            try:
                self._choose_streams(self._container)
                self._first = self._first_frames(self._container)
                self._describe(self._container, self._first[0])
            except BaseException:
                self._release()
                raise
        self._state = "live"

    def packets(self) -> Iterator[CodedPacket]:
        """Yield the coded pictures as they arrive; those of HLS when they are due.

        Raises:
            SourceError: a live stream ended or broke off.
        """
        info, container = self.info, self._container
        if container is None:
            return
        first, self._first = self._first, []
        if first:
            yield CodedPacket(first, time.monotonic_ns(), True, 0)
        with self._interrupt.covers_this_thread():
            yield from self._read(container)
        if info.live and not self._is_over and not length_seconds(container):
            raise stream_errors.lost_error(self._address, None)
        yield CodedPacket(None, time.monotonic_ns(), True, 0)
        self._state = "ended"

    def decode(self, packet: CodedPacket) -> Sequence[Frame]:
        """Return the frames that come out of the decoder with this packet; broken ones are skipped and counted."""
        decoded = packet.payload
        if not isinstance(decoded, list):
            decoded = self._decode(decoded if isinstance(decoded, Packet) else None)
        frames = [self._frame(picture, packet.arrived_ns) for picture in decoded]
        self.counters.decoded += len(frames)
        if self._duration_seconds is None:
            return frames
        kept = [frame for frame in frames if frame.pts_seconds < self._duration_seconds]
        self._is_over = self._is_over or len(kept) < len(frames)
        return kept

    def skip_disposable(self, skip: bool) -> None:
        """Leave out, or no longer, the pictures that no other one refers to."""
        if self._video is not None and skip != self._skips_disposable:
            self._skips_disposable = skip
            self._video.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"

    def restart_decoder(self) -> None:
        """Forget what was decoded so far; the next packet must be a key frame."""
        if self._video is not None:
            self._video.codec_context.flush_buffers()

    def close(self) -> None:
        """Hang up; idempotent. `open()` may follow."""
        self._release()
        if self._feed is not None and self._state == "ended":
            self._feed.end()
        self._interrupt.clear()

    # ---- connecting -------------------------------------------------------------------------------------------

    def _connect(self) -> InputContainer:
        address, stopped = self._address, lambda: self._interrupt.is_set
        if address.is_connected and (unknown := stream_errors.check_name(address, stopped)) is not None:
            raise unknown
        started = time.monotonic()
        try:
            return av.open(
                address.url,
                mode="r",
                options=self._options,
                metadata_errors="replace",
                timeout=(self._open_seconds, READ_SECONDS),
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise stream_errors.open_error(
                address,
                error,
                waited_seconds=time.monotonic() - started,
                most_seconds=self._open_seconds,
                stopped=stopped,
            ) from None  # the cause names the address as it is, credentials included

    def _choose_streams(self, container: InputContainer) -> None:
        video = container.streams.best("video")
        if not isinstance(video, VideoStream):
            kinds = ", ".join(dict.fromkeys(stream.type for stream in container.streams)) or "nothing"
            raise SourceError(
                f"stream {self._address}: got {kinds} and no video within {self._open_seconds:.0f} s; expected video. "
                "Check the address, or look for longer: -s probe_seconds=5."
            )
        if getattr(video, "codec_context", None) is None:
            raise stream_errors.no_decoder(self._address, "an unknown codec")
        video.thread_type = "SLICE"  # frame threads would hold pictures back
        video.thread_count = self._thread_count
        if self._low_delay:
            video.codec_context.flags |= Flags.low_delay
        self._skips_disposable = False
        sound = container.streams.best("audio")
        self._video = video
        self._sound = sound if isinstance(sound, AudioStream) and getattr(sound, "codec_context", None) else None

    def _first_frames(self, container: InputContainer) -> list[av.VideoFrame]:
        """Read on until the first picture comes out of the decoder."""
        deadline = time.monotonic() + self._open_seconds
        errors = 0
        try:
            for packet in container.demux(self._video):
                if self._interrupt.is_set or time.monotonic() > deadline:
                    break
                failed_before = self.counters.decode_errors
                if frames := self._decode(packet if packet.size else None):
                    return frames
                errors += self.counters.decode_errors - failed_before
        except FFmpegError as error:
            if not self._interrupt.is_set:
                raise stream_errors.lost_error(self._address, error) from None
        codec = self._video.codec_context.name if self._video is not None else "video"
        raise DecodeError(
            f"stream {self._address}: got no picture that can be decoded ({codec}, "
            f"{count_of(errors, 'broken packet')}) within {self._open_seconds:.0f} s; expected a key frame. "
            "Let the camera send key frames more often, or wait longer: -s open_timeout=30."
        )

    def _describe(self, container: InputContainer, first: av.VideoFrame) -> None:
        before, video = self._info, self._video
        if video is None:
            return
        length = length_seconds(container)
        live = self._asked_live if self._asked_live is not None else length is None or not self._is_http
        self._info = describe_stream(
            container, video, first, source_id=self._source_id, live=live, address=self._address
        )
        self._by_arrival = is_timed_by_arrival(container)
        self._pacer = Pacer() if live and is_paced_by_its_times(container) else None
        if before is None:
            self._clock = LiveClock(jump_seconds=5.0 if live else math.inf)
            self._feed = None if self._sound is None else AudioFeed(sound_format(self._sound))
        else:
            self._clock.reconnected()
            self.counters.reconnects += 1
            for sentence in changes_between(before, self._info):
                self._note(sentence)

    @property
    def _is_http(self) -> bool:
        return self._address.scheme in ("http", "https")

    # ---- reading and decoding ---------------------------------------------------------------------------------

    def _read(self, container: InputContainer) -> Iterator[CodedPacket]:
        """Yield the packets with pictures, passing on sound; unreadable places are skipped and counted."""
        wanted = [stream for stream in (self._video, self._sound) if stream is not None]
        bad_reads = 0
        while True:
            try:
                for packet in container.demux(wanted):
                    if self._interrupt.is_set:
                        raise stream_errors.lost_error(self._address, None)
                    bad_reads = 0
                    if packet.size and packet.stream is self._sound:
                        self._pass_on_sound(packet)
                    elif packet.size:
                        yield self._coded(packet)
                    if self._is_over:
                        break
                return
            except FFmpegError as error:
                bad_reads += 1
                self.counters.decode_errors += 1
                skippable = isinstance(error, av.error.InvalidDataError) and bad_reads < MOST_BAD_READS_IN_A_ROW
                if not skippable or self._interrupt.is_set:
                    raise stream_errors.lost_error(self._address, error) from None

    def _coded(self, packet: Packet[Any]) -> CodedPacket:
        arrived_ns = time.monotonic_ns()
        stamp = packet.dts if packet.dts is not None else packet.pts
        if self._pacer is not None and stamp is not None and packet.time_base:
            arrived_ns = self._pacer.wait(float(stamp * packet.time_base), arrived_ns, self._interrupt)
        return CodedPacket(packet, arrived_ns, packet.is_keyframe, packet.size)

    def _pass_on_sound(self, packet: Packet[Any]) -> None:
        if self._feed is None or packet.pts is None or not packet.time_base:
            return
        seconds = self._clock.sound_seconds(float(packet.pts * packet.time_base))
        if seconds is not None and seconds >= 0:
            self._feed.put(bytes(packet), seconds, float((packet.duration or 0) * packet.time_base))

    def _decode(self, packet: Packet[Any] | None) -> list[av.VideoFrame]:
        if self._video is None:
            return []
        try:
            return self._video.codec_context.decode(packet)
        except (FFmpegError, ValueError, EOFError) as error:
            self.counters.decode_errors += packet is not None
            if isinstance(error, BlockingIOError):  # a decoder that is stuck on an older packet takes no new one
                self._video.codec_context.flush_buffers()
            return []

    def _frame(self, decoded: av.VideoFrame, arrived_ns: int) -> Frame:
        raw = None if decoded.pts is None or self._by_arrival else float(decoded.pts * (decoded.time_base or TIME_BASE))
        index, self._next_index = self._next_index, self._next_index + 1
        frame = Frame(
            picture=self._pictures.read(decoded),
            frame_index=index,
            pts=self._clock.frame_ticks(raw, arrived_ns),
            time_base=TIME_BASE,
            captured_ns=time.monotonic_ns(),
            source_id=self._source_id,
        )
        if frame.size_wh != self.info.size_wh and not self.info.details.get("resized"):
            width, height = frame.size_wh
            self.info.details["resized"] = "yes"
            self._note(
                f"The picture size changed to {width}x{height} at frame {index}; outputs keep what they began with."
            )
        return frame

    def _note(self, sentence: str) -> None:
        if sentence not in self.counters.notes:
            self.counters.notes.append(sentence)

    def _release(self) -> None:
        self._first, self._video, self._sound = [], None, None
        container, self._container = self._container, None
        if container is not None:
            container.close()
        note_broken(self.counters)
