from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from rtseg.bench.report import write_report
from rtseg.errors import ConfigError, SinkError
from tests.bench.documents import document, failed, result, rich_document

NASTY = "<script>alert('x')</script>|`*_\"&[a](http://evil)"
VOID = {"meta", "br", "rect", "polyline", "polygon", "circle"}


class Page(HTMLParser):
    """The tags that are open at the end, every tag's attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts = 0
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.scripts += tag == "script"
        if tag not in VOID or (tag in ("rect", "polygon", "circle") and "data-tip" in dict(attrs)):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(made: dict, tmp_path) -> tuple[Page, str]:
    path = tmp_path / "report.html"
    write_report(made, path)
    text = path.read_text(encoding="utf-8")
    return Page(text), text


def test_page_is_well_formed_and_loads_nothing(tmp_path):
    page, text = page_of(rich_document(), tmp_path)
    assert page.open == []
    assert page.scripts == 1
    assert not re.search(r"\b(?:src|href|action|srcset)\s*=|url\(|@import", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_page_shows_every_number_reason_and_fault(tmp_path):
    page, _ = page_of(rich_document(), tmp_path)
    for words in (
        "51.0 ± 2.0 %", "90.9 %", "102.0 %",
        "Measuring fault : 6 street · int8 · .mp4 sink: limit_share 1.02 is above 1",
        "failed: tensorrt: got no GPU; expected one.", "Not steady", "12 newer frame", "NOT STEADY when counting began",
        "3 cameras at 30.0 fps with p99 of the frame age below 100 ms", "openvino, as asked.", "24.0 GiB",
        "versions: openvino 2026.0.0", "Loading and compiling of models.", "rtseg bench street",
        "88.0 W", "1.23 J a frame",
        "4 codes unreadable", "not in the chart: mine · fp32", "60 frames, 1.40 s; steady",
    ):  # fmt: skip
        assert words in page.text, words


def test_page_has_every_figure_for_desk_and_phone(tmp_path):
    page, _ = page_of(rich_document(), tmp_path)
    labels = [attrs["aria-label"] or "" for tag, attrs in page.tags if tag == "svg"]
    for start in (
        "Frames a second of every", "Core-milliseconds", "Where each millisecond", "Distribution", "Time from",
        "Frames a second against CamVid", "Frames a second against portraits", "p99 of the frame age",
    ):  # fmt: skip
        assert any(label.startswith(start) for label in labels), start
    assert sum("desk" in (a["class"] or "") for t, a in page.tags if t == "svg") == 7
    assert sum("phone" in (a["class"] or "") for t, a in page.tags if t == "svg") == 7


def test_every_repetition_is_in_the_page(tmp_path):
    page, _ = page_of(document(result(fps=(50.125, 52.25, 51.5))), tmp_path)
    for value in ("50.12", "52.25", "51.50"):
        assert value in page.text


def nasty_document() -> dict:
    """A document in which every text is an attack on the page and on the table."""
    made = json.loads(json.dumps(rich_document()), object_hook=_poisoned)
    made["results"].append(failed(NASTY, NASTY))
    return made


def _poisoned(found: dict) -> dict:
    poisoned = {}
    for name, value in found.items():
        key = f"{name}{NASTY}" if name in ("decode", "rtseg", "newer_frame") else name
        poisoned[key] = NASTY if isinstance(value, str) else [NASTY] if value and _texts(value) else value
    return poisoned


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def test_no_text_of_the_document_becomes_markup(tmp_path):
    page, text = page_of(nasty_document(), tmp_path)
    assert page.open == []
    assert page.scripts == 1
    assert "<script>alert" not in text
    assert "alert('x')" in page.text
    assert not any("evil" in str(attrs.get("href")) for _, attrs in page.tags)


def test_text_is_one_cell_and_one_line_of_markdown(tmp_path):
    path = tmp_path / "report.md"
    write_report(nasty_document(), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    pipes = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(rows) == 10
    assert len(pipes) == 1
    assert not any(re.search(r"(?<!\\)<script", line) for line in lines if not line.startswith("    "))


def test_markdown_has_table_and_facts(tmp_path):
    path = tmp_path / "report.md"
    write_report(rich_document(), path)
    text = path.read_text(encoding="utf-8")
    assert "| 1 | street · int8 · null sink | 51.0 ± 2.0 % | 61.2 | 83.5 % | 90.9 % |" in text
    assert "**failed** | – | –" in text
    for words in ("**fault**", "**Failed**: 8", "**Measuring fault**: 6", "**Not steady**", "Not timed: Loading",
                  "0.60 × the fps", "A Processor 3000, 2 cores, 24.0 GiB", "    rtseg bench street"):  # fmt: skip
        assert words in text, words


def pixels_of_color(picture: np.ndarray, bgr: tuple[int, int, int]) -> int:
    return cv2.countNonZero(cv2.inRange(picture, np.array(bgr) - 8, np.array(bgr) + 8))


def test_picture_shows_the_figures_and_grows_with_the_settings(tmp_path):
    sizes = []
    for number, made in enumerate((document(result()), rich_document())):
        path = tmp_path / f"{number}.png"
        write_report(made, path)
        picture = cv2.imread(str(path))
        sizes.append(picture.shape[0])
        assert picture.shape[1] == 2480
        assert pixels_of_color(picture, (235, 99, 37)) > 10_000  # bars of fps
    assert sizes[1] > sizes[0]


def test_faults_and_failures_are_red_in_the_picture(tmp_path):
    reds = []
    for made in (document(result()), document(result(faults=["limit_share 1.1 is above 1"]))):
        write_report(made, tmp_path / "a.png")
        reds.append(pixels_of_color(cv2.imread(str(tmp_path / "a.png")), (46, 34, 207)))
    assert reds[1] > reds[0] + 5_000


EMPTY = {"results": []}
BARE = {"results": [{"model": "a"}, {}, {"error": "it broke"}]}
WRONG = {
    "machine": "none", "date": None, "timed": 3, "not_timed": None, "command": None,
    "results": [
        {"model": None, "size": "640x320", "source": "clip.mp4", "fps": float("nan"),
         "values": {"fps": "abc", "x": [1, "y"]},
         "latency_ms": {"p50": 0, "p99": None, "max": -1}, "stages": {"decode": None, "infer": {"mean": "slow"}},
         "histogram": {"latency_ms": {"edges": [1, 2], "counts": [1, 2, 3]}}, "drops": [], "score": {"value": None},
         "capacity": {"tried": [None, {"cameras": 1}]}, "faults": "one text", "warm_up": None, "reasons": None},
        {"model": "b", "fps": True, "core_ms": float("inf"), "limit": {"cores": 2}, "error": 0},
    ],
}  # fmt: skip
ZERO = {"results": [{"model": "a", "fps": 0.0, "bare_fps": 0.0, "core_ms": 0.0, "limit_fps": 0.0,
                     "values": {"fps": [0.0]},
                     "stages": {"decode": {"mean": 0.0}}, "latency_ms": {"p50": 0.0, "p99": 0.0, "max": 0.0},
                     "score": {"name": "m", "value": 0.0},
                     "glass_ms": {"count": 0, "p50": None, "unreadable": 9}}]}  # fmt: skip


@pytest.mark.parametrize("suffix", [".html", ".png", ".md"])
@pytest.mark.parametrize("made", [EMPTY, BARE, WRONG, ZERO], ids=["empty", "bare", "wrong", "zero"])
def test_missing_and_wrong_fields_are_shown_as_unknown(tmp_path, made, suffix):
    path = tmp_path / f"report{suffix}"
    write_report(made, path)
    content = path.read_bytes()
    assert content
    if suffix != ".png":
        assert b"nan" not in content.lower().replace(b"governance", b"")
        assert b"None" not in content


def test_unknown_is_a_dash_never_a_zero(tmp_path):
    page, _ = page_of(document(result(limit_share=None, limit_fps=None, limit=None, memory_peak_mib=None)), tmp_path)
    cells = [attrs for tag, attrs in page.tags if tag == "td" and "data-value" in attrs]
    assert [attrs["data-value"] for attrs in cells].count("") >= 1
    assert "– (not measurable in this setting)" in page.text
    assert "0.0 %" not in page.text.replace("100.0 %", "").replace("± 0.0 %", "")


def test_error_without_numbers_stands_in_the_table(tmp_path):
    page, _ = page_of(document(failed(), result()), tmp_path)
    assert "failed: tensorrt: got no GPU" in page.text
    assert "51.0 ± 2.0 %" in page.text


@pytest.mark.parametrize("name", ["report", "report.pdf", "report.htm"])
def test_other_suffix_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"expected a name that ends with \.html, \.png, \.md"):
        write_report(document(result()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_no_document_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="without a list of results"):
        write_report({"fps": 3}, tmp_path / "a.html")


def test_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path):
    with pytest.raises(SinkError, match="expected a file that can be written"):
        write_report(document(result()), tmp_path / "missing" / "a.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(SinkError):
        write_report(document(result()), tmp_path / "folder.md")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.md"]


def test_upper_case_suffix_and_a_file_that_was_there(tmp_path):
    path = tmp_path / "A.MD"
    path.write_text("old")
    write_report(document(result()), path)
    assert path.read_text(encoding="utf-8").startswith("## rtseg bench")
