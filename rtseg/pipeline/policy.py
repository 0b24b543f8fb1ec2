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
