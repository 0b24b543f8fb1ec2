import json
from pathlib import Path

import cv2
import pytest

from benchmarks.peers import table as peers_table
from benchmarks.peers.compare import JOBS, Peer, peers_listed, turns, with_ratios

README = "before\n<!-- peers table: begin -->\nold\n<!-- peers table: end -->\nafter\n"


def run(fps: float) -> dict[str, float]:
    return {"fps": fps, "core_ms": 2000 / fps}


def document(**changes) -> dict:
    entries = [
        {"peer": "rtseg", "job": "street-null", "runs": [run(40), run(20), run(42)], "error": None},
        {"peer": "the loop", "job": "street-null", "runs": [run(10), run(10), run(21)], "error": None},
        {"peer": "broken", "job": "street-null", "runs": [], "error": "pip: no such thing"},
    ]
    return {
        "date": "2026-01-02", "jobs": {"street-null": "street, thrown away"}, "repeats": 3,
        "results": with_ratios(entries), "absent": [{"name": "DeepStream", "reason": "needs a GPU"}],
        "machine": {"cores": 2, "cpu": "CPU X"}, **changes,
    }  # fmt: skip


def test_ratio_is_the_median_of_the_ratios_within_each_repetition():
    ours, loop, broken = document()["results"]
    assert loop["ratios"] == [4, 2, 2]
    assert loop["rtseg_times_as_fast"] == 2  # the ratio of the medians would be 4
    assert ours["rtseg_times_as_fast"] == 1
    assert broken["rtseg_times_as_fast"] is None


def test_every_repetition_has_every_peer_once_in_turning_order():
    peers = [Peer(name, f"{name}.py", (), tuple(JOBS)) for name in "abc"]
    rounds = [[pair for number, *pair in turns(peers, 3) if number == index] for index in range(3)]
    assert all(
        sorted((p.name, job) for p, job in one) == sorted((p.name, job) for p, job in rounds[0]) for one in rounds
    )
    assert len({rounds[index][0][1] for index in range(3)}) > 1


def test_listed_peers_have_scripts_and_known_jobs():
    peers, absent = peers_listed()
    folder = Path(peers_table.__file__).parent
    assert all((folder / peer.script).is_file() and set(peer.jobs) <= set(JOBS) for peer in peers)
    assert all(row["reason"] for row in absent)


def test_table_and_picture_come_from_the_newest_result(tmp_path):
    readme, picture = tmp_path / "README.md", tmp_path / "peers.png"
    readme.write_text(README)
    (tmp_path / "peers-old.json").write_text(json.dumps(document(date="2025-01-01", repeats=99)))
    (tmp_path / "peers-new.json").write_text(json.dumps(document()))
    words = ["--readme", str(readme), "--results", str(tmp_path), "--picture", str(picture)]
    assert peers_table.main([*words, "--check"]) == 1
    assert peers_table.main(words) == 0
    assert peers_table.main([*words, "--check"]) == 0
    text = readme.read_text()
    assert "old" not in text
    assert "medians of 3 repetitions" in text
    assert "| street, thrown away | the loop | 10.0 | 200.0 | 2.00 (2.00 to 4.00) |" in text
    assert "pip: no such thing" in text
    assert "DeepStream (needs a GPU)" in text
    assert text.index("**rtseg**") < text.index("the loop") < text.index("broken")
    pixels = cv2.imread(str(picture))
    assert (pixels == (235, 99, 37)).all(axis=2).any()  # our bar, in the accent colour


def test_nothing_measured_says_so_and_missing_markers_are_an_error(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(README)
    assert peers_table.main(["--readme", str(readme), "--results", str(tmp_path)]) == 0
    assert "Not measured yet" in readme.read_text()
    readme.write_text("no markers")
    with pytest.raises(SystemExit, match="markers"):
        peers_table.main(["--readme", str(readme), "--results", str(tmp_path)])


def test_the_readme_says_what_the_committed_results_say():
    assert peers_table.main(["--check"]) == 0
