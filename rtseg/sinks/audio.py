"""The sound that goes along with a video: copied packet by packet, or re-encoded where the container cannot hold it.

Note [Audio never kills the video]: every fault of the sound ends the sound, not the run, and becomes a note. Only a
fault of the disk is raised, since the picture has it too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from rtseg.sinks.placing import DISK_ERRNOS
from rtseg.sinks.reencode import SoundEncoder, add_encoder

SOUND_ERRORS: Final = (av.FFmpegError, ValueError, OSError)
"""What PyAV raises for a sound that it cannot read, decode, encode or mux."""

SHUNNED: Final[dict[str, tuple[str, ...]]] = {"mp4": ("vorbis",), "mov": ("vorbis",)}
"""Sounds that FFmpeg writes into a container though few players play them there; they are re-encoded."""

SEEK_MARGIN_SECONDS: Final = 2.0
TRIAL_PACKETS: Final = 8


class AudioTrack:
    """The first audio stream of a file, on its way into an output container.

    Add it to the container before the header is written; then call `advance` as the video goes on, `finish` at its end.
    """

    def __init__(self, source: InputContainer, sound: AudioStream, target: AudioStream, *, copied: bool) -> None:
        self.notes: list[str] = []
        self.failed = False
        self._source = source
        self._sound = sound
        self._target = target
        self._copied = copied
        self._shift_seconds = Fraction(0)
        self._start_seconds = 0.0
        self._end_seconds: float | None = None
        self._last_dts: int | None = None
        self._video_seen_seconds = float("-inf")
        self._packets: Iterator[av.Packet[Any]] | None = None
        self._next: av.Packet[Any] | None = None

    @classmethod
    def attach(cls, path: Path, container: OutputContainer) -> tuple[AudioTrack | None, list[str]]:
        """Return the sound of the file, added to the container as a new stream, and notes; None: there is none."""
        try:
            source = av.open(str(path.absolute()))
        except SOUND_ERRORS as error:
            return None, [f"the audio of {path.name} was left out: it cannot be opened ({_reason(error)})"]
        try:
            track, notes = cls._attach_first(source, path, container)
        except SOUND_ERRORS as error:
            track, notes = None, [f"the audio of {path.name} was left out ({_reason(error)})"]
        if track is None:
            source.close()
        return track, notes

    @classmethod
    def _attach_first(
        cls, source: InputContainer, path: Path, container: OutputContainer
    ) -> tuple[AudioTrack | None, list[str]]:
        if not source.streams.audio:
            return None, []
        sound = source.streams.audio[0]
        if sound.codec_context is None:
            return None, [f"the audio of {path.name} was left out: its codec is unknown here"]
        codec_name = sound.codec_context.codec.canonical_name
        if codec_name not in SHUNNED.get(container.format.name, ()) and _holds(container.format.name, path):
            target = container.add_stream_from_template(sound)
            return cls(source, sound, target, copied=True), []
        context = sound.codec_context
        target = add_encoder(container, rate_hz=context.sample_rate, channels=context.layout.nb_channels)
        new_name = target.codec_context.codec.canonical_name
        note = f"audio re-encoded from {codec_name} to {new_name}: {_home(container)} cannot hold it"
        return cls(source, sound, target, copied=False), [note]

    def begin(self, *, shift_seconds: Fraction, start_seconds: float, end_seconds: float | None) -> None:
        """Set how much earlier every packet is written than its pts says, and between which source times."""
        self._shift_seconds = shift_seconds
        self._start_seconds = start_seconds
        self._end_seconds = end_seconds
        if start_seconds > SEEK_MARGIN_SECONDS:
            self._seek(start_seconds - SEEK_MARGIN_SECONDS)
        self._packets = self._copied_packets() if self._copied else self._encoded_packets()
        self._pull()

    def advance(self, container: OutputContainer, until_seconds: float) -> None:
        """Mux every packet that belongs before this output time.

        Raises:
            av.FFmpegError: the disk is full or broken; any other fault ends the sound with a note.
        """
        while self._next is not None and _time_seconds(self._next) <= until_seconds:
            packet = self._next
            try:
                container.mux_one(packet)
            except SOUND_ERRORS as error:
                self.fail(error)
                return
            self._pull()

    def finish(self, container: OutputContainer, video_end_seconds: float, *, cut: bool) -> None:
        """Mux the rest; only up to the video's end where the run was cut short or stopped before the source's end."""
        self.advance(container, video_end_seconds)
        shift = float(self._shift_seconds)
        tail: list[av.Packet[Any]] = []
        while self._next is not None and not cut:
            tail.append(self._next)
            self._pull()
            cut = self._video_seen_seconds - shift > video_end_seconds
        if not cut:
            self._mux_tail(container, tail)

    def fail(self, error: BaseException) -> None:
        """End the sound for good, with a note; a fault of the disk is raised again."""
        if getattr(error, "errno", None) in DISK_ERRNOS:
            raise error
        self.failed = True
        self._next = self._packets = None
        self.notes.append(f"the audio ends early: {_reason(error)}")

    def close(self) -> None:
        """Let go of the source file; idempotent."""
        self._next = self._packets = None
        self._source.close()

    def _mux_tail(self, container: OutputContainer, tail: list[av.Packet[Any]]) -> None:
        for packet in tail:
            try:
                container.mux_one(packet)
            except SOUND_ERRORS as error:
                self.fail(error)
                return

    def _seek(self, seconds: float) -> None:
        try:
            self._source.seek(int(seconds * 1_000_000), backward=True)
        except SOUND_ERRORS:
            return  # unseekable files are read from their start, which only takes longer

    def _pull(self) -> None:
        """Fetch the next packet into `_next`."""
        self._next = None
        if self._packets is None:
            return
        try:
            self._next = next(self._packets, None)
        except SOUND_ERRORS as error:
            self.fail(error)

    def _demuxed(self) -> Iterator[av.Packet[Any]]:
        """Yield the sound's packets of the time span; take note of how far the video in the file goes."""
        predicted: int | None = None
        for packet in self._source.demux():
            if packet.stream.type == "video" and packet.pts is not None and packet.time_base:
                if not packet.stream.disposition & av.stream.Disposition.attached_pic:
                    self._video_seen_seconds = max(self._video_seen_seconds, float(packet.pts * packet.time_base))
            if packet.stream_index != self._sound.index or packet.size == 0:
                continue
            _mend_times(packet, predicted)
            predicted = (packet.pts or 0) + (packet.duration or 0)
            if self._after_end(packet):
                return
            if not self._before_start(packet):
                yield packet

    def _before_start(self, packet: av.Packet[Any]) -> bool:
        # Without a start, sound before time 0 is the encoder's run-in, which belongs to the sound.
        return self._start_seconds > 0 and _time_seconds(packet) < self._start_seconds

    def _after_end(self, packet: av.Packet[Any]) -> bool:
        return self._end_seconds is not None and _time_seconds(packet) >= self._end_seconds

    def _copied_packets(self) -> Iterator[av.Packet[Any]]:
        for packet in self._demuxed():
            shift = round(self._shift_seconds / packet.time_base)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = (packet.dts if packet.dts is not None else packet.pts + shift) - shift
            if self._last_dts is not None and packet.dts <= self._last_dts:
                packet.dts = packet.pts = self._last_dts + 1
            self._last_dts = packet.dts
            packet.stream = self._target
            yield packet

    def _encoded_packets(self) -> Iterator[av.Packet[Any]]:
        for packet in SoundEncoder(self._target.codec_context).packets(self._decoded_frames()):
            shift = round(self._shift_seconds / packet.time_base)
            packet.dts = packet.pts = (packet.pts or 0) - shift
            packet.stream = self._target
            yield packet

    def _decoded_frames(self) -> Iterator[AudioFrame]:
        skipped = 0
        for packet in self._demuxed():
            try:
                yield from self._sound.codec_context.decode(packet)
            except av.FFmpegError:
                skipped += 1
        yield from self._sound.codec_context.decode(None)
        if skipped:
            self.notes.append(f"{skipped} broken audio packets were skipped")


def _holds(muxer: str, path: Path) -> bool:
    """Find out whether the container takes the sound as it is, by trying: header and first packets, in memory."""
    trial = io.BytesIO()
    try:
        with av.open(str(path.absolute())) as source, av.open(trial, "w", format=muxer) as container:
            sound = source.streams.audio[0]
            target = container.add_stream_from_template(sound)
            container.start_encoding()
            packets = (packet for packet in source.demux(sound) if packet.size and packet.dts is not None)
            for packet in islice(packets, TRIAL_PACKETS):
                packet.stream = target
                container.mux_one(packet)
    except SOUND_ERRORS:
        return False
    return True


def _home(container: OutputContainer) -> str:
    return {"matroska": "mkv"}.get(container.format.name, container.format.name)


def _mend_times(packet: av.Packet[Any], predicted: int | None) -> None:
    """Give a packet without times the time at which the one before it ends."""
    if packet.pts is None:
        packet.pts = packet.dts if packet.dts is not None else predicted or 0
    if packet.dts is None:
        packet.dts = packet.pts


def _time_seconds(packet: av.Packet[Any]) -> float:
    return float((packet.pts or 0) * packet.time_base)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
