"""What `rtseg doctor` looks at, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Final

from rtseg.backends.device_facts import gpu_facts
from rtseg.backends.registry import backend_report, create_backend
from rtseg.errors import BackendUnavailable, RtsegError
from rtseg.models.bundle import list_bundles, load_bundle
from rtseg.sinks.display import display_available
from rtseg.sources.v4l2 import list_devices
from rtseg.stats import machine_facts, package_version

PACKAGES: Final = {"numpy": "numpy", "opencv-python": "cv2", "av": "av", "openvino": "openvino"}
"""What rtseg cannot do without: distribution and module."""

EXTRAS: Final = {
    "torch": "cuda",
    "triton": "cuda",
    "tensorrt": "tensorrt",
    "tensorrt-rtx-cu13": "tensorrt-rtx",
    "onnx": "train",
    "safetensors": "train",
    "nncf": "train",
    "starlette": "serve",
    "uvicorn": "serve",
    "aiortc": "serve",
    "pyarrow": "parquet",
}
"""What an extra brings: distribution and extra."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checkup."""

    group: str
    name: str
    state: str
    """ok; missing or broken (then rtseg's main job fails); off (an option that is not there)."""
    detail: str
    remedy: str = ""


def checkup_text(*, as_json: bool) -> tuple[str, bool]:
    """Return the report and whether rtseg's main job can run here."""
    findings = list(_findings())
    healthy = all(finding.state in ("ok", "off") for finding in findings)
    healthy = healthy and any(f.group == "backend" and f.state == "ok" for f in findings)
    if as_json:
        report = {"healthy": healthy, "machine": machine_facts(), "findings": [asdict(f) for f in findings]}
        return json.dumps(report, indent=2), healthy
    facts = machine_facts()
    head = f"rtseg {package_version('rtseg')} on {facts['cpu']}, {facts['cores']} cores, Python {facts['python']}"
    closing = "Everything needed is here." if healthy else "Something needed is missing; see above."
    return "\n".join([head, *(_line(finding) for finding in findings), closing]), healthy


def _line(finding: Finding) -> str:
    remedy = f"\n{'':24}-> {finding.remedy}" if finding.remedy else ""
    return f"{finding.state:<8} {finding.group:<8} {finding.name:<17} {finding.detail}{remedy}"


def _findings() -> Iterator[Finding]:
    yield from _packages()
    yield _gpu()
    yield from _backends()
    yield from _models()
    yield from _extras()
    yield _codecs()
    yield _display()
    yield from _live_outputs()
    yield _cameras()
    yield from _streams()


def _packages() -> Iterator[Finding]:
    for distribution, module in PACKAGES.items():
        remedy = f"pip install {distribution}"
        version = package_version(distribution)
        try:
            import_module(module)
        except ImportError as error:
            state = "missing" if version is None else "broken"
            yield Finding("package", distribution, state, str(error).splitlines()[0], remedy)
            continue
        yield Finding("package", distribution, "ok", version or "installed")


def _gpu() -> Finding:
    facts = gpu_facts()
    if facts is None:
        return Finding("device", "gpu", "off", "no NVIDIA GPU with a driver")
    return Finding("device", "gpu", "ok", f"{facts}, compute capability {facts.device.compute_capability}")


def _backends() -> Iterator[Finding]:
    for status in backend_report():
        yield Finding("backend", status.name, "ok" if status.works else "off", status.detail, status.remedy)
    with suppress(BackendUnavailable):  # then every line above says why
        yield Finding("backend", "auto", "ok", create_backend()[1][-1])


def _models() -> Iterator[Finding]:
    try:
        names = list_bundles()
    except RtsegError as error:
        yield Finding("model", "bundles", "missing", str(error), "pip install --force-reinstall rtseg")
        return
    for name in names:
        try:
            bundle = load_bundle(name)
        except RtsegError as error:
            yield Finding("model", name, "broken", str(error), "pip install --force-reinstall rtseg")
            continue
        width, height = bundle.network.size_wh
        yield Finding("model", name, "ok", f"{bundle.task}, {width}x{height}, {len(bundle.classes)} classes")


def _extras() -> Iterator[Finding]:
    for distribution, extra in EXTRAS.items():
        version = package_version(distribution)
        if version is None:
            yield Finding("extra", distribution, "off", "not installed", f"pip install 'rtseg[{extra}]'")
        else:
            yield Finding("extra", distribution, "ok", version)


def _codecs() -> Finding:
    from rtseg.sinks.available import encoders_available

    encoders = encoders_available()
    missing = [name for name, present in encoders.items() if not present]
    if missing:
        return Finding("video", "encoders", "off", f"without {', '.join(missing)}", "pip install --upgrade av")
    return Finding("video", "encoders", "ok", ", ".join(encoders))


def _display() -> Finding:
    available, reason = display_available()
    return Finding("sink", "window", "ok" if available else "off", reason or "a display answers")


def _live_outputs() -> Iterator[Finding]:
    from rtseg.sinks.available import live_outputs

    for way in live_outputs():
        yield Finding("sink", way.name, "ok" if way.works else "off", way.detail, way.remedy)


def _streams() -> Iterator[Finding]:
    from rtseg.sources.stream_errors import PROTOCOL_REMEDY
    from rtseg.sources.stream_facts import missing_protocols

    missing = missing_protocols()
    present = [name for name in ("rtsp", "rtmp", "http", "https", "udp", "srt") if name not in missing]
    yield Finding("source", "streams", "ok" if present else "off", ", ".join(present))
    for name in missing:
        yield Finding("source", name, "off", f"this FFmpeg was built without {name}", PROTOCOL_REMEDY)


def _cameras() -> Finding:
    devices = list_devices()
    if not devices:
        return Finding("source", "camera", "off", "no camera device found")
    return Finding("source", "camera", "ok", "; ".join(str(device) for device in devices))
