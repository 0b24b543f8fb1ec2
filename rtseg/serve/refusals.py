"""Errors that a web page is answered with by a status of their own."""

from __future__ import annotations

from rtseg.errors import ConfigError


class TooMany(ConfigError):
    """There are as many of something as the limits allow."""


class NotThere(ConfigError):
    """There is nothing of that name."""
