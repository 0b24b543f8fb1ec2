"""The sound of a live source on its way into a file; what `AudioTrack` is for the sound of a file."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from rtseg.sinks.live_sound import SOUND_ERRORS, EncodedSound, LiveSound, SoundSource, reason_of
from rtseg.sinks.placing import DISK_ERRNOS
from rtseg.sinks.reencode import add_encoder

RUN_IN_SAMPLES: Final = {"aac": 1024, "opus": 312}
"""How long before its first sample each encoder's first packet begins; every container here can say so."""

BEFORE_SECONDS: Final = 1e-6


class FeedTrack:
    """Sound encoded into a stream of a container, in step with the video that is written there.

    Threading: one thread. See Note [Audio never kills the video] and Note [Live sound].
    """

    def __init__(self, source: SoundSource, target: AudioStream) -> None:
        self._target = target
        self._source = source
        self._sound: LiveSound | None = None
        self._shift_seconds = Fraction(0)
        self._run_in = RUN_IN_SAMPLES.get(target.codec_context.codec.canonical_name, 0)
        self._own_notes: list[str] = []

    @classmethod
    def attach(cls, source: SoundSource, container: OutputContainer) -> tuple[FeedTrack | None, list[str]]:
        """Return the sound, added to the container as a new stream, and notes; None: it cannot be encoded here."""
        try:
            target = add_encoder(container, rate_hz=min(source.rate_hz, 48_000), channels=source.channels)
        except SOUND_ERRORS as error:
            return None, [f"the audio was left out ({reason_of(error)})"]
        name = target.codec_context.codec.canonical_name
        note = f"audio encoded anew from {source.what} to {name}, on the video's clock"
        return cls(source, target), [note]

    @property
    def notes(self) -> list[str]:
        """What went wrong."""
        return [*self._own_notes, *(self._sound.notes if self._sound is not None else [])]

    @property
    def failed(self) -> bool:
        """True once the sound was given up."""
        return bool(self._own_notes)

    def begin(self, *, shift_seconds: Fraction, start_seconds: float, end_seconds: float | None) -> None:
        """Set how much earlier every packet is written than its source time says."""
        del start_seconds, end_seconds
        self._shift_seconds = shift_seconds
        self._sound = LiveSound(self._source, self._target.codec_context, lead_seconds=Fraction(0))

    def advance(self, container: OutputContainer, until_seconds: float) -> None:
        """Mux every packet that belongs before this output time."""
        if self._sound is not None and not self.failed:
            for sound in self._sound.until(Fraction(until_seconds) + self._shift_seconds):
                self._mux(container, sound)

    def finish(self, container: OutputContainer, video_end_seconds: float, *, cut: bool) -> None:
        """Mux the rest up to the video's end; what a live source says after that belongs to nobody."""
        del cut
        self.advance(container, video_end_seconds - BEFORE_SECONDS)  # what begins at the end is the next segment's
        if self._sound is not None and not self.failed:
            for sound in self._sound.flush():
                self._mux(container, sound)

    def fail(self, error: BaseException) -> None:
        """End the sound for good, with a note; a fault of the disk is raised again."""
        if getattr(error, "errno", None) in DISK_ERRNOS:
            raise error
        self._own_notes.append(f"the audio ends early: {reason_of(error)}")

    def close(self) -> None:
        """Let go of the source; idempotent."""
        self._source.close()

    def _mux(self, container: OutputContainer, sound: EncodedSound) -> None:
        rate_hz = self._target.codec_context.sample_rate
        ticks = round((sound.seconds - self._shift_seconds) * rate_hz)
        if self.failed or ticks < -self._run_in:
            return
        packet: av.Packet[Any] = av.Packet(sound.content)
        packet.time_base = Fraction(1, rate_hz)
        packet.pts = packet.dts = ticks
        packet.duration = sound.samples
        packet.stream = self._target
        try:
            container.mux_one(packet)
        except SOUND_ERRORS as error:
            self.fail(error)
