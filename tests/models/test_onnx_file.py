"""Reading the header of an ONNX file, and refusing what is none."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest

from rtseg.errors import EngineError
from rtseg.models.onnx_file import read_onnx_facts


def test_names_types_and_shapes_are_read(tiny_onnx):
    facts = read_onnx_facts(tiny_onnx("labels_int64"))
    assert [(i.name, i.shape, i.is_integer) for i in facts.inputs] == [("picture", (1, 3, 16, 32), False)]
    assert [(o.name, o.shape, o.is_integer) for o in facts.outputs] == [("labels", (1, 16, 32), True)]
    assert facts.external_files == ()


def test_free_dimensions_are_unknown(tiny_onnx):
    source = read_onnx_facts(tiny_onnx("alpha_any_size")).inputs[0]
    assert source.shape == (1, 3, None, None)
    assert source.shape_text() == "[1, 3, ?, ?]"


def message(size: int) -> bytes:
    """The length of a protocol buffer field."""
    return bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])


def part(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + message(len(content)) + content


def with_external_weights(model: bytes, location: str) -> bytes:
    """Append a graph part: one weight whose bytes lie in another file (a repeated graph field is merged)."""
    entry = part(1, b"location") + part(2, location.encode())
    tensor = part(8, b"w") + part(13, entry) + bytes([14 << 3, 1])
    graph_start = model.index(bytes([7 << 3 | 2]))
    length = model[graph_start + 1] if model[graph_start + 1] < 128 else None
    size_bytes = 1 if length is not None else 2
    if length is None:
        length = (model[graph_start + 1] & 127) | model[graph_start + 2] << 7
    body = model[graph_start + 1 + size_bytes : graph_start + 1 + size_bytes + length]
    rest = model[graph_start + 1 + size_bytes + length :]
    return model[:graph_start] + part(7, body + part(5, tensor)) + rest


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "sub/../../weights.bin"])
def test_weights_outside_the_folder_are_refused(tiny_onnx, location):
    path = tiny_onnx("logits_nchw")
    path.write_bytes(with_external_weights(path.read_bytes(), location))
    with pytest.raises(EngineError, match="outside the model's folder"):
        read_onnx_facts(path)


def test_a_link_that_leads_outside_is_refused(tiny_onnx, tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"1234")
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    path = folder / "model.onnx"
    path.write_bytes(with_external_weights(tiny_onnx("logits_nchw").read_bytes(), "weights.bin"))
    with pytest.raises(EngineError, match="outside the model's folder"):
        read_onnx_facts(path)


def test_weights_beside_the_file_are_found_or_missed(tiny_onnx):
    path = tiny_onnx("logits_nchw")
    path.write_bytes(with_external_weights(path.read_bytes(), "weights.bin"))
    with pytest.raises(EngineError, match=r"got no file 'weights\.bin'"):
        read_onnx_facts(path)
    (path.parent / "weights.bin").write_bytes(b"1234")
    assert read_onnx_facts(path).external_files == ("weights.bin",)


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("net.pth", b"anything"),
        ("net.pt", zip_bytes()),
        ("net.ckpt", b"x"),
        ("net.onnx", zip_bytes()),
        ("net.onnx", pickle.dumps({"a": 1})),
    ],
)
def test_a_pickle_is_refused_by_name_and_by_content_with_the_way(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineError, match=r"pickle.*torch\.onnx\.export.*safetensors") as failure:
        read_onnx_facts(tmp_path / name)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "an empty file"),
        (b"this is a text file, not a network\n" * 40, "no whole ONNX file"),
        (b"\x00" * 500, "no whole ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + b"\x01\x02" * 50, "no whole ONNX file"),
        (b'\x40\x00\x00\x00\x00\x00\x00\x00{"w": 1}', "safetensors"),
        (b"\x08\x08", "no graph"),
    ],
)
def test_what_is_no_onnx_file_is_one_line(tmp_path, content, text):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=text) as failure:
        read_onnx_facts(tmp_path / "net.onnx")
    assert "\n" not in str(failure.value)


def test_a_file_cut_short_anywhere_is_refused_or_has_lost_its_graph(tiny_onnx):
    path = tiny_onnx("logits_nchw")
    whole = path.read_bytes()
    graph_end = whole.rindex(bytes([8 << 3 | 2]))  # opset_import follows the graph
    for size in range(graph_end):
        path.write_bytes(whole[:size])
        with pytest.raises(EngineError):
            read_onnx_facts(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(EngineError, match="no such file"):
        read_onnx_facts(tmp_path / "absent.onnx")
