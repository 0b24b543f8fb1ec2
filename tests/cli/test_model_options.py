"""--model-option, as it is written."""

from __future__ import annotations

import pytest

from rtseg.cli.model_options import read_model_options
from rtseg.errors import ConfigError


def test_every_kind_of_value_is_read():
    read = read_model_options(
        {
            "size": "512x256",
            "layout": "nhwc",
            "scale": "1/255",
            "mean": "0.5,0.25,1",
            "classes": "4",
            "palette": "#fff,#000",
        }
    )
    assert read == {
        "size_wh": (512, 256),
        "layout": "NHWC",
        "scale": pytest.approx(1 / 255),
        "mean": (0.5, 0.25, 1.0),
        "classes": 4,
        "palette": ("#fff", "#000"),
    }


@pytest.mark.parametrize(
    ("pair", "telling"),
    [
        ({"sise": "1x1"}, "size"),
        ({"scale": "big"}, "1/255"),
        ({"mean": "a,b,c"}, "0.5,0.5,0.5"),
        ({"size": "9"}, "WIDTHx"),
    ],
)
def test_what_cannot_be_read_fails(pair, telling):
    with pytest.raises(ConfigError, match=telling):
        read_model_options(pair)
