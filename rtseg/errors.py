"""The one error tree of rtseg.

    RtsegError
    |-- ConfigError(ValueError)      an option, a card or a call that cannot be right
    |-- SourceError                  a source that cannot be opened or has no picture
    |   `-- DecodeError              a source that opened, but whose frames cannot be decoded
    |-- EngineError                  a model or engine that cannot be used
    |-- BackendUnavailable           a runtime that is not installed or does not run here
    |-- InferenceError               an engine that failed on a frame
    |-- SinkError                    a sink that cannot be opened or written
    |-- TrainingError                a training run that cannot go on
    |-- SourcesFailed                some of several sources that ran at once failed; the others ran to their end
    `-- StageError                   any other exception inside a pipeline stage (the cause is chained)

Every message reads: what failed: got X; expected Y. Remedy.
"""

from __future__ import annotations


class RtsegError(Exception):
    """Base of every error that rtseg raises on purpose.

    `stage` and `frame_index` are set when the error comes out of a running pipeline.
    """

    stage: str | None = None
    frame_index: int | None = None

    def __str__(self) -> str:
        """Return the message in one line, with stage and frame where they are known."""
        message = " ".join(super().__str__().split())
        if self.stage is None:
            return message
        where = self.stage if self.frame_index is None else f"{self.stage}, frame {self.frame_index}"
        return f"{message} [{where}]"


class ConfigError(RtsegError, ValueError):
    """An option, a bundle card or a call that cannot be right."""


class SourceError(RtsegError):
    """A source that cannot be opened or that has no picture."""


class DecodeError(SourceError):
    """A source that opened, but of which no frame can be decoded."""


class EngineError(RtsegError):
    """A model or an engine that cannot be used: unreadable, tampered with, or of another shape than its card says."""


class BackendUnavailable(RtsegError):
    """A runtime that is not installed or does not run on this machine."""


class InferenceError(RtsegError):
    """An engine that failed on a frame."""


class SinkError(RtsegError):
    """A sink that cannot be opened or written."""


class TrainingError(RtsegError):
    """A training run that cannot go on: its loss is no number, or its checkpoint cannot be used."""


class SourcesFailed(RtsegError):
    """Some of several sources that ran at once failed; the others ran to their end.

    Args:
        errors: name of the source and its error, one each.
        stats: `rtseg.stats.Stats` of all sources together.
        count: how many sources there were.
    """

    def __init__(self, errors: tuple[tuple[str, RtsegError], ...], *, stats: object, count: int) -> None:
        said = "; ".join(f"{name or 'source'}: {error}" for name, error in errors)
        super().__init__(f"{len(errors)} of {count} sources failed: {said}")
        self.errors = errors
        self.stats = stats


class StageError(RtsegError):
    """An unexpected exception inside a pipeline stage; the cause is chained."""
