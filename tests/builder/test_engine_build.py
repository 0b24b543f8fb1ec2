"""An engine is built once, by whoever asks first; whoever is stopped or killed leaves nothing in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

onnx = pytest.importorskip("onnx", reason="building needs onnx")

from rtseg.builder import engine_build  # noqa: E402
from rtseg.builder.engine_build import EngineOrder, build_engine  # noqa: E402
from rtseg.cuda_device import NO_DEVICE, CudaDevice  # noqa: E402
from rtseg.engine_files.cache import PLAN_NAME, EngineCache  # noqa: E402
from rtseg.errors import BackendUnavailable, ConfigError  # noqa: E402
from rtseg.models.bundle import load_bundle  # noqa: E402
from rtseg.tensorrt_flavour import Flavour, load_flavour  # noqa: E402
from tests.builder.parts import bundle_folder  # noqa: E402

pytestmark = [pytest.mark.needs_torch, pytest.mark.needs_tensorrt]


@pytest.fixture(autouse=True)
def _builds_here():
    try:
        flavour = load_flavour()
    except BackendUnavailable:
        pytest.skip("no flavour of TensorRT can be imported")
    if not flavour.builds_without_gpu:
        pytest.skip(f"{flavour} builds on a GPU only")


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(bundle_folder(tmp_path / "colours"))


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "cache" / "rtseg" / "engines")


def names(cache):
    return sorted(path.name for path in cache.folder.iterdir())


def test_built_once_then_found(bundle, cache):
    notes = []
    first = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE, on_note=notes.append)
    assert first.built
    assert notes == [
        "building: no engine of colours in the cache yet",
        "measuring the network's values for fp16",
        "compiling",
    ]
    manifest = first.engine.manifest
    assert manifest.proofs == ()
    assert manifest.key.model_sha256 == bundle.sha256
    assert manifest.build_seconds > 0
    assert manifest.layers["CONVOLUTION float16"] == 4
    assert manifest.ranges["frames"] == 4
    assert manifest.ranges["kept_for_range"] == []
    assert manifest.target.startswith("every GPU")
    again = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE, on_note=notes.append)
    assert not again.built
    assert again.engine.read_plan() == first.engine.read_plan()
    assert len(notes) == 3
    rebuilt = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE, again=True)
    assert rebuilt.built
    assert rebuilt.reason == "asked for again"


def test_a_damaged_engine_is_built_again_and_the_reason_is_told(bundle, cache):
    engine = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE).engine
    path = engine.folder / PLAN_NAME
    path.write_bytes(path.read_bytes()[:-10])
    notes = []
    mended = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE, on_note=notes.append)
    assert mended.built
    assert "is not the one that was built" in notes[0]
    assert cache.lookup(mended.engine.manifest.key).engine is not None


def test_int8_needs_the_bundles_own_file_and_nothing_else(bundle, cache):
    with pytest.raises(ConfigError, match="rtseg build MODEL --precision int8"):
        build_engine(bundle, EngineOrder(precision="int8"), cache=cache, device=NO_DEVICE)
    code = (
        "import sys\n"
        "for name in ('torch', 'nncf', 'onnxruntime', 'rtseg.builder.calibration'): sys.modules[name] = None\n"
        "from rtseg.cli import main\n"
        "assert main(['build', 'person', '--backend', 'tensorrt', '--precision', 'int8', '-q']) == 0\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.folder.parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=100)
    (entry,) = cache.entries()
    assert entry.manifest.key.precision == "int8"


def test_what_is_missing_is_named_with_its_command(bundle, cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(engine_build, "find_spec", lambda name: None)
        with pytest.raises(BackendUnavailable, match="pip install 'onnx"):
            build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE)
    data_centre = Flavour("tensorrt", "10.13", SimpleNamespace(), "test")
    monkeypatch.setattr(engine_build, "load_flavour", lambda: data_centre)
    with pytest.raises(BackendUnavailable, match=r"got no GPU; expected one.*tensorrt-rtx"):
        build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE)


def test_one_built_ahead_is_found_on_a_gpu(bundle, cache):
    ahead = build_engine(bundle, EngineOrder(), cache=cache, device=NO_DEVICE)
    found = build_engine(bundle, EngineOrder(), cache=cache, device=CudaDevice("NVIDIA Test", "8.9", "580"))
    assert not found.built
    assert found.engine.manifest == ahead.engine.manifest


def test_two_processes_build_it_once(bundle, cache):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.folder.parents[1])}
    words = [sys.executable, "-m", "rtseg", "build", str(bundle.folder), "--backend", "tensorrt"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with cache.exclusive(EngineOrder().key_of(bundle, load_flavour(), NO_DEVICE)):  # so that both must wait
        both = [subprocess.Popen(words, **pipes) for _ in range(2)]
        for process in both:
            assert "another process is building this engine" in process.stderr.readline()
    told = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("built in" in error for _, error in told) == 1
    assert sum("in the cache: " in error for _, error in told) == 1
    assert told[0][0] == told[1][0]
    (entry,) = cache.entries()
    assert names(cache) == [".seal", entry.digest]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("sent", "code", "at"),
    [
        (signal.SIGINT, 130, b"compiling"),
        (signal.SIGTERM, 143, b"compiling"),
        (signal.SIGKILL, -9, b"compiling"),
        (signal.SIGTERM, 143, b"measuring"),
    ],
)
def test_a_stopped_build_leaves_nothing(cache, sent, code, at):
    """The network is large enough for its compiler to be at work when the signal comes."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.folder.parents[1])}
    words = ["build", "street", "--backend", "tensorrt", "--size", "1280x640", "--precision", "fp16"]
    starter = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv[0] = 'rtseg'; " \
              "from rtseg.cli import entry; entry()"  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", starter, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert b"building: no engine" in process.stderr.readline()
            while at not in process.stderr.readline():
                assert process.poll() is None
            time.sleep(0.3)
            process.send_signal(sent)
            out, err = process.communicate(timeout=100)
        finally:
            process.kill()
    assert process.returncode == code, err
    assert out == b""
    assert b"Traceback" not in err
    if sent == signal.SIGKILL:
        assert cache.sweep() <= 1  # its lock, which held nobody up
    assert names(cache) in ([], [".seal"])


def test_keys_of_orders_differ(bundle):
    flavour = load_flavour()
    orders = [EngineOrder(), EngineOrder(batch=2), EngineOrder(size_wh=(64, 48)), EngineOrder(form="bytes"),
              EngineOrder(precision="fp32")]  # fmt: skip
    keys = {order.key_of(bundle, flavour, NO_DEVICE).digest for order in orders}
    assert len(keys) == len(orders)
    other = replace(bundle, network=replace(bundle.network, mean=(0.0, 0.0, 0.0)))
    assert EngineOrder().key_of(other, flavour, NO_DEVICE).digest not in keys
