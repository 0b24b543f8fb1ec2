"""`rtseg run` as a user types it: exit codes, outputs, one-line errors, stats."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import av
import pytest

from rtseg.cli import Ending, main
from tests.conftest import write_clip

FAKE = ["--backend", "fake"]


def times(path):
    with av.open(str(path)) as container:
        return [round(float(frame.time), 6) for frame in container.decode(video=0)]


def test_a_clip_runs_to_a_file_with_its_times_and_its_sound(clip, tmp_path, capsys):
    out, stats = tmp_path / "seen.mp4", tmp_path / "s.json"
    assert main(["run", str(clip), "-m", "street", "-e", "driving", "-o", str(out), "--stats", str(stats), *FAKE]) == 0
    assert times(out) == times(clip)
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1
    report = json.loads(stats.read_text())
    assert report["frames"] == {"decoded": 12, "processed": 12, "written": 12, "dropped": {}}
    assert report["model"]["name"] == "street"
    assert report["backend"]["name"] == "fake"
    assert report["backend"]["reasons"]
    assert {"fps", "wall_seconds", "latency_ms", "frame_age_ms", "stages", "machine"} <= set(report)
    assert "12 frames" in capsys.readouterr().out


def test_the_shipped_person_model_blurs_a_clip(clip, tmp_path):
    out = tmp_path / "blurred.mp4"
    assert main(["run", str(clip), "-m", "person", "-o", str(out)]) == 0
    assert len(times(out)) == 12


def test_without_out_and_display_the_result_is_named_after_the_source(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rtseg.cli.running.display_available", lambda: (False, "none"))
    assert main(["run", str(clip), "-m", "person", "-e", "blur", *FAKE]) == 0
    assert (tmp_path / "clip.rtseg.mp4").exists()
    assert main(["run", str(clip), "-m", "person", "-e", "cutout", *FAKE]) == 0
    assert (tmp_path / "clip.rtseg.mov").exists()


def test_with_a_display_and_no_out_a_window_is_taken(monkeypatch, clip):
    from rtseg.cli import running

    monkeypatch.setattr(running, "display_available", lambda: (True, "yes"))
    assert running.default_outs(None, None) == ("window",)


def test_several_sources_go_through_one_engine_into_a_folder(tmp_path, monkeypatch):
    a, b = write_clip(tmp_path / "a.mp4"), write_clip(tmp_path / "b.mkv", frames=7)
    loads = []
    from rtseg.cli import request

    original = request.load
    monkeypatch.setattr(request, "load", lambda *args, **kw: loads.append(args) or original(*args, **kw))
    folder = tmp_path / "out"
    folder.mkdir()
    stats = tmp_path / "s.json"
    assert main(["run", str(a), str(b), "-o", f"{folder}/", "--stats", str(stats), *FAKE]) == 0
    assert len(loads) == 1
    assert (len(times(folder / "a.rtseg.mp4")), len(times(folder / "b.rtseg.mp4"))) == (12, 7)
    report = json.loads(stats.read_text())
    assert report["frames"]["written"] == 19
    assert [source["frames"]["written"] for source in report["sources"]] == [12, 7]


def test_several_sources_into_one_file_fails(clip, capsys):
    assert main(["run", str(clip), str(clip), "-o", "one.mp4", *FAKE]) == 2
    assert "{name}" in capsys.readouterr().err


def test_several_sinks_at_once(clip, tmp_path):
    out, masks = tmp_path / "o.mp4", tmp_path / "masks"
    assert main(["run", str(clip), "-o", str(out), "-o", f"masks:{masks}", "-o", "null", *FAKE]) == 0
    assert len(times(out)) == 12
    assert len(list(masks.glob("*.png"))) == 12
    assert len((masks / "index.jsonl").read_text().splitlines()) == 12


def test_start_and_duration_take_a_part(tmp_path):
    clip = write_clip(tmp_path / "long.mp4", frames=100)
    out = tmp_path / "part.mp4"
    assert main(["run", str(clip), "-o", str(out), "--start", "0:01", "--duration", "2", *FAKE]) == 0
    assert len(times(out)) == 50
    assert times(out)[0] == pytest.approx(0.0, abs=0.001)


def test_an_existing_output_needs_overwrite(clip, tmp_path, capsys):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    assert main(["run", str(clip), "-o", str(out), *FAKE]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert main(["run", str(clip), "-o", str(out), "--overwrite", *FAKE]) == 0
    assert len(times(out)) == 12


def test_overwrite_never_means_the_source(clip, capsys):
    before = clip.read_bytes()
    assert main(["run", str(clip), "-o", str(clip), "--overwrite", *FAKE]) == 2
    assert "would replace the source" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_overwrite_never_clears_pictures_that_are_read(tmp_path, capsys):
    folder = tmp_path / "frames"
    assert main(["run", "synthetic:desk?size=64x48&seconds=0.1", "-o", f"frames:{folder}", *FAKE]) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert main(["run", str(folder), "-m", "person", "-o", f"masks:{folder}", "--overwrite", *FAKE]) == 2
    assert "would replace the source" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == names


def test_two_sources_of_one_name_are_found_out_before_the_work(tmp_path, capsys):
    for place in ("a", "b", "out"):
        (tmp_path / place).mkdir()
    clips = [str(write_clip(tmp_path / place / "clip.mp4")) for place in "ab"]
    assert main(["run", *clips, "-o", f"{tmp_path}/out/", "--overwrite", *FAKE]) == 2
    assert "for two outputs" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_second_source_is_found_out_before_the_work(clip, tmp_path, capsys):
    assert main(["run", str(clip), str(tmp_path / "no.mp4"), "-o", f"{tmp_path}/{{name}}.mkv", *FAKE]) == 1
    assert "no.mp4" in capsys.readouterr().err
    assert not (tmp_path / "clip.mkv").exists()


def test_several_sources_without_out_and_display_are_named_after_themselves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rtseg.cli.running.display_available", lambda: (False, "none"))
    clips = [str(write_clip(tmp_path / name)) for name in ("one.mp4", "two.mkv")]
    assert main(["run", *clips, *FAKE]) == 0
    assert {"one.rtseg.mp4", "two.rtseg.mp4"} <= {path.name for path in tmp_path.iterdir()}


def test_a_folder_takes_a_cut_out_as_a_file_that_holds_it(clip, tmp_path):
    (tmp_path / "cut").mkdir()
    assert main(["run", str(clip), "-m", "person", "-e", "cutout", "-o", str(tmp_path / "cut"), *FAKE]) == 0
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["clip.rtseg.mov"]


@pytest.mark.parametrize(
    ("words", "code", "telling"),
    [
        (["run", "nothing.mp4"], 1, "nothing.mp4"),
        (["run", "synthetic:street", "-m", "strete"], 2, "street"),
        (["run", "synthetic:street", "-e", "blurr"], 2, "blur"),
        (["run", "synthetic:street", "--policy", "newest"], 2, "freshest"),
        (["run", "synthetic:street", "--backend", "magic"], 2, "openvino, fake"),
        (["run", "synthetic:street", "--precision", "fp7"], 2, "bf16"),
        (["run", "synthetic:street", "--start", "soon"], 2, "--start"),
        (["run", "synthetic:street", "-s", "colour"], 2, "KEY=VALUE"),
        (["run", "synthetic:street", "-s", "colour=red"], 2, "colour"),
        (["run", "synthetic:moon"], 2, "desk"),
        (["run", "synthetic:street", "--classes", "unicorn"], 2, "unicorn"),
        (["run", "synthetic:street", "--classes", ","], 2, "car,person"),
        (["run", "synthetic:street", "-o", ""], 2, "empty name"),
        (["run", "synthetic:street", "--stats", "no/such/folder.json"], 2, "--stats"),
        (["run", "rtsp://user:secret@127.0.0.1:1/stream"], 1, "refused"),
        (["run", "gopher://user:secret@host/x"], 2, "rtsp, rtsps"),
        (["run", "synthetic:street", "--max-frames", "0"], 2, "max-frames"),
        (["run"], 2, "SOURCE"),
        (["walk"], 2, "walk"),
    ],
)
def test_bad_input_is_one_clear_line_and_an_exit_code(words, code, telling, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if words[0] == "run" and "-o" not in words and len(words) > 1:
        words = [*words, "-o", "null", *([] if "--backend" in words else FAKE)]
    assert main(words) == code
    shown = capsys.readouterr()
    assert telling in shown.err + shown.out
    assert "Traceback" not in shown.err
    assert "secret" not in shown.err + shown.out
    if words[0] == "run" and len(words) > 1 and "max-frames" not in telling:
        assert len(shown.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failure_midway_keeps_what_there_is(tmp_path, monkeypatch, capsys):
    clip = write_clip(tmp_path / "clip.mp4", frames=40)
    from rtseg.render.compositor_cpu import CpuCompositor

    original = CpuCompositor.composite

    def composite(self, frame, result, **options):
        if frame.frame_index == 25:
            raise RuntimeError("planted")
        return original(self, frame, result, **options)

    monkeypatch.setattr(CpuCompositor, "composite", composite)
    out, stats = tmp_path / "o.mp4", tmp_path / "s.json"
    assert main(["run", str(clip), "-o", str(out), "--stats", str(stats), *FAKE]) == 1
    assert "planted" in capsys.readouterr().err
    assert len(times(tmp_path / "o.partial.mp4")) == 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "o.partial.mp4", "s.json"]
    assert json.loads(stats.read_text())["frames"]["written"] == 25


def test_debug_shows_the_trace(capsys):
    with pytest.raises(Exception, match="magic"):
        main(["run", "synthetic:street", "--backend", "magic", "-o", "null", "--debug"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_run_keeps_a_playable_partial_file(tmp_path, signal_name, code):
    import signal

    out = tmp_path / "o.mkv"
    words = [sys.executable, "-m", "rtseg", "run", "synthetic:desk?size=160x120&frames=100000", "-m", "person"]
    child = subprocess.Popen([*words, "-o", str(out), "--backend", "fake"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(path.stat().st_size > 20_000 for path in tmp_path.iterdir()):
            break
        time.sleep(0.05)
    child.send_signal(getattr(signal, signal_name))
    _, stderr = child.communicate(timeout=30)
    assert child.returncode == code
    assert "Traceback" not in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["o.partial.mkv"]
    assert len(times(tmp_path / "o.partial.mkv")) > 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_second_interrupt_does_not_disturb_the_first():
    import signal

    ending = Ending(patience_seconds=60)
    with pytest.raises(KeyboardInterrupt):
        ending.ask(signal.SIGINT, None)
    ending.ask(signal.SIGINT, None)
    ending.ask(signal.SIGTERM, None)
    impatient = Ending(patience_seconds=0)
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            impatient.ask(signal.SIGTERM, None)
        assert ended.value.code == 143
