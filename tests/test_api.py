"""Where the outputs of one and of several sources go."""

from __future__ import annotations

import pytest

from rtseg.api import _out_for
from rtseg.errors import ConfigError


def out(spec: str, *, several: bool) -> str:
    return str(_out_for(spec, "cam", several=several, alpha=False))


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp://h/live/",
        "rtmp://h/a/k",
        "udp://h:1#bitrate=1M",
        "segments:DIR/",
        "segments:DIR?seconds=5",
        "virtualcam:2",
    ],
)
def test_what_is_no_path_stays_as_it_is(spec):
    assert out(spec, several=False) == spec


def test_several_sources_get_folders_of_segments():
    assert out("segments:DIR/?seconds=5&keep=2", several=True) == "segments:DIR/cam?seconds=5&keep=2"


def test_several_sources_need_names_in_urls_and_patterns():
    assert out("rtsp://h/{name}", several=True) == "rtsp://h/cam"
    with pytest.raises(ConfigError, match="several sources") as caught:
        out("rtsp://bob:secret@h/live", several=True)
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"\{name\}"):
        out("segments:DIR/x-%05d.mkv", several=True)
