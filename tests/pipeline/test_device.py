"""Which way frames go, and that the stats say why; the ends of a run on the device."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rtseg.backends.base import BackendInfo
from rtseg.backends.device_backend import DeviceBackend
from rtseg.errors import ConfigError
from rtseg.pipeline.device import DeviceChoice, choose_device
from rtseg.pipeline.device_ends import on_device, path_facts, takes_surfaces
from rtseg.pipeline.pipeline import Pipeline
from rtseg.render.effects import Tint
from rtseg.sinks.file import FileSink
from rtseg.sinks.hardware import HardwareFileSink
from rtseg.sinks.null import NullSink
from rtseg.sources.file import FileSource
from rtseg.sources.hardware import HardwareFileSource
from tests.conftest import PRESENT
from tests.pipeline.parts import CountingSink, CountingSource, StubSegmenter

no_gpu = pytest.mark.skipif(PRESENT["cuda"](), reason="there is a GPU, so nothing falls back")


class OnDevice(DeviceBackend):
    name = "stub"

    def __init__(self, **facts):
        super().__init__()
        engine = {"device": SimpleNamespace(type="cuda"), "form": "planes", "batch": 1} | facts
        self._opened = SimpleNamespace(**engine), None

    def _choose_runtime(self, request):
        raise AssertionError

    def _open(self, request, runtime):
        raise AssertionError


def segmenter_on(**facts):
    return SimpleNamespace(backend=OnDevice(**facts), info=BackendInfo("stub", "1", "none", "none", 1))


@pytest.mark.parametrize(
    ("segmenter", "why"),
    [
        (StubSegmenter(), "host: the backend stub has no engine on a device"),
        (segmenter_on(device=SimpleNamespace(type="cpu")), "host: stub runs on the cpu here"),
        (segmenter_on(form="bytes"), "host: the engine takes bytes"),
    ],
)
def test_each_reason_for_the_host_is_said(segmenter, why):
    choice = choose_device(segmenter, [])
    assert not choice.taken
    assert choice.reason.startswith(why)


def test_the_stats_of_every_run_say_which_way_frames_went():
    stats = Pipeline(CountingSource(3), StubSegmenter(), effects=[Tint()], sinks=[CountingSink()]).run()
    assert stats.facts["path"] == {"frames": "host: the backend stub has no engine on a device", "line": ""}


@no_gpu
def test_on_the_device_files_are_decoded_and_encoded_there_too_or_say_why_not(clip, tmp_path):
    sinks = [FileSink(tmp_path / "out.mp4"), NullSink()]
    source, upgraded = on_device(FileSource(clip), sinks)
    assert isinstance(source, HardwareFileSource)
    assert isinstance(upgraded[0], HardwareFileSink)
    assert upgraded[1] is sinks[1]
    pipeline = Pipeline(source, StubSegmenter(), sinks=upgraded)
    stats = pipeline.run()
    assert not takes_surfaces(upgraded)
    facts = path_facts(DeviceChoice(True, "device: as a test"), source, upgraded)
    assert facts["decode"] == facts["encode"][0] == "cpu (Cannot load libcuda.so.1)"
    assert facts["line"] == "decode: cpu (Cannot load libcuda.so.1)  encode: cpu (Cannot load libcuda.so.1)"
    assert {"decode: cpu (Cannot load libcuda.so.1)", "encode: cpu (Cannot load libcuda.so.1)"} <= set(stats.notes)


def test_surfaces_are_taken_only_where_every_sink_encodes_on_the_gpu():
    gpu, cpu = SimpleNamespace(encoder="nvenc"), SimpleNamespace(encoder="cpu (no)")
    assert takes_surfaces([gpu, gpu])
    assert not takes_surfaces([gpu, cpu])
    assert not takes_surfaces([gpu, NullSink()])
    assert not takes_surfaces([])


def test_a_model_that_cannot_follow_onto_the_device_is_refused():
    pipeline = Pipeline(CountingSource(1), StubSegmenter(), sinks=[CountingSink()])
    pipeline._device = DeviceChoice(True, "device: as a test")
    with pytest.raises(ConfigError, match="has no engine on a device"):
        pipeline.switch_segmenter(StubSegmenter(), [])


def test_the_progress_line_names_who_decodes_where_a_device_was_tried():
    from rtseg.cli.progress import rate_text
    from rtseg.pipeline.report import Progress, Reporter
    from rtseg.stats import Stats

    said = []
    stats = Stats(source_id="s")
    Reporter(stats, said.append).report(None, force=True)
    stats.facts["path"] = {"line": "decode: cpu (no libnvcuvid)"}
    Reporter(stats, said.append).report(None, force=True)
    assert [progress.hardware for progress in said] == ["", "decode: cpu (no libnvcuvid)"]
    assert rate_text(said[1]).endswith("drops 0  decode: cpu (no libnvcuvid)")
    assert rate_text(Progress("s", 1, 1, 30.0, 4.0, 2)) == "30.0 fps  age 4 ms  drops 2"
