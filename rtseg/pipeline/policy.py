"""What happens when frames come faster than they can be processed."""

from __future__ import annotations

from typing import Final, Literal, get_args

from rtseg.errors import ConfigError
from rtseg.sources.base import SourceInfo

Policy = Literal["every", "freshest"]

CHANNEL_CAPACITY: Final[dict[Policy, int]] = {"every": 4, "freshest": 1}
"""Frames that may wait between two stages; one for live sources, so that the newest is never queued behind others."""

DROP_CAUSE: Final = "newer_frame"
"""Cause under which `freshest` counts a frame that was dropped because a newer one had arrived."""

STALE_CAUSE: Final = "stale"
"""The same, of a frame that had already waited longer for inference than the staleness budget allows."""

RESULT_CAUSE: Final = "newer_result"
"""The same, of a segmented frame that the sinks were too slow to take."""

DECODE_CAUSE: Final = "decode"
"""Frames that were never decoded, because decoding had fallen behind a live source; they are not among `decoded`."""


def drop_cause(waited_ns: int, staleness_seconds: float) -> str:
    """Return the cause under which a frame is counted that a newer one displaced after it had waited so long."""
    return STALE_CAUSE if waited_ns > staleness_seconds * 1e9 else DROP_CAUSE


def check_policy(asked: str | None) -> None:
    """Raise ConfigError where a policy is asked for that is none."""
    if asked is not None and asked not in get_args(Policy):
        raise ConfigError(f"policy: got {asked!r}; expected every or freshest. Choose one of them.")


def choose_policy(asked: str | None, info: SourceInfo) -> tuple[Policy, str]:
    """Return the policy and the reason for it: the one asked for, else by the kind of source.

    Raises:
        ConfigError: there is no policy of that name.
    """
    for policy in get_args(Policy):
        if asked == policy:
            return policy, "asked for"
    check_policy(asked)
    if info.live:
        return "freshest", f"a live source ({info.kind}): old frames are dropped rather than queued"
    return "every", f"a finite source ({info.kind}): no frame is dropped"
