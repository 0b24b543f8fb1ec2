"""Built networks as bundles on disk: a new folder, or a file added to the bundle; whole or not at all.

Note [In place, whole at every moment]
    A card and the file whose digest it has are two files, and only one can be replaced at a time. So the card first
    forgets the old quantized file, then the new file takes its place, then the card names it: whenever this is cut
    short, what lies there is a bundle that loads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnx

from rtseg.builder.cards import ONNX_NAME, read_tables, write_card
from rtseg.builder.targets import check_new
from rtseg.errors import ConfigError, SinkError
from rtseg.models.bundle import Bundle
from rtseg.models.checks import DefaultPrecision

INT8_NAME: Final = "model.int8.onnx"
REPORT_NAME: Final = "int8.json"
"""The parity report inside a bundle folder."""
_WEIGHTS_NAME: Final = "weights.safetensors"
"""What the next training starts from, where the bundle has it."""

Tables = dict[str, dict[str, Any]]


def write_int8_bundle(
    bundle: Bundle, folder: Path, model: onnx.ModelProto, report: Mapping[str, Any], default: DefaultPrecision
) -> Path:
    """Write a new bundle with the float file, the quantized one, the report and a card that names them.

    Args:
        bundle: the float network's.
        folder: must not be there yet.
        model: the quantized network.
        report: goes into the folder whole, and its main numbers into the card.
        default: the file that is used unless told otherwise.

    Raises:
        ConfigError: there is something at `folder`.
        SinkError: it cannot be written.
    """
    with _new_folder(folder) as waiting:
        shutil.copyfile(bundle.network.onnx_path, waiting / ONNX_NAME)
        _copy_weights(bundle, waiting)
        onnx.save(model, str(waiting / INT8_NAME))
        _write_report(waiting / REPORT_NAME, report)
        tables = tables_of(bundle)
        tables["files"] = {"onnx": ONNX_NAME, "sha256": bundle.sha256}
        write_card(waiting, _with_int8(tables, waiting / INT8_NAME, report, default))
    return folder


def add_int8(bundle: Bundle, model: onnx.ModelProto, report: Mapping[str, Any], default: DefaultPrecision) -> Path:
    """Put the quantized file and its report into the bundle's own folder; return the folder.

    See Note [In place, whole at every moment].

    Raises:
        ConfigError: the bundle has no card that could name the file.
        SinkError: the folder cannot be written.
    """
    if not bundle.has_card:
        raise ConfigError(
            f"--in-place: got {bundle.name}, which has no card; expected a bundle folder. Give -o FOLDER."
        )
    folder = bundle.folder
    with _write_errors(folder):
        waiting = folder / f".part-{INT8_NAME}"
        onnx.save(model, str(waiting))
        tables = read_tables(folder)
        if "int8" in tables["files"]:
            write_card(folder, _without_int8(tables))
        waiting.replace(folder / INT8_NAME)
        _write_report(folder / REPORT_NAME, report)
        write_card(folder, _with_int8(tables, folder / INT8_NAME, report, default))
    return folder


def write_half_bundle(bundle: Bundle, folder: Path, model: onnx.ModelProto) -> Path:
    """Write a new bundle whose one file holds its weights as fp16.

    Raises:
        ConfigError: there is something at `folder`.
        SinkError: it cannot be written.
    """
    with _new_folder(folder) as waiting:
        onnx.save(model, str(waiting / ONNX_NAME))
        _copy_weights(bundle, waiting)
        tables = _without_int8(tables_of(bundle))
        tables["files"] = {"onnx": ONNX_NAME, "sha256": _sha256(waiting / ONNX_NAME)}
        write_card(waiting, tables)
    return folder


def _copy_weights(bundle: Bundle, folder: Path) -> None:
    if bundle.has_card and (bundle.folder / _WEIGHTS_NAME).is_file():
        shutil.copyfile(bundle.folder / _WEIGHTS_NAME, folder / _WEIGHTS_NAME)


def tables_of(bundle: Bundle) -> Tables:
    """Return the tables of a bundle's card; of a bare ONNX file, those that its options amount to."""
    if bundle.has_card:
        return read_tables(bundle.folder)
    network = bundle.network
    output = {"kind": network.output_kind, "layout": network.output_layout}
    return {
        "model": {"name": bundle.name, "task": bundle.task, "licence": bundle.licence},
        "files": {"onnx": ONNX_NAME, "sha256": bundle.sha256},
        "input": {
            "size_wh": list(network.size_wh),
            "layout": network.layout,
            "channel_order": network.channel_order,
            "scale": network.scale,
            "mean": list(network.mean),
            "std": list(network.std),
        },
        "output": output | ({} if network.output_name is None else {"name": network.output_name}),
        "classes": {
            "names": list(bundle.classes),
            "palette": ["#{:02x}{:02x}{:02x}".format(*color) for color in bundle.palette],
        },
        "defaults": {"effect": bundle.default_effect},
    }


def card_summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card says of the parity report under [scores.int8]."""
    speed = report.get("speed") or {}
    found = {
        "data": report["data"],
        "frames": report["frames"],
        "labelled": report["labelled"],
        "miou_fp32": report["miou_fp32"],
        "miou": report["miou"],
        "label_agreement": report["label_agreement"],
        "alpha_mad": report["alpha_mad"],
        "speed_up": speed.get("speed_up"),
        "speed_up_against": speed.get("against"),
        "layers_in_higher_precision": len(report["left_in_higher_precision"]),
        "calibrated_on": report["calibration"]["source"],
    }
    return {key: value for key, value in found.items() if value is not None}


def _with_int8(tables: Tables, path: Path, report: Mapping[str, Any], default: DefaultPrecision) -> Tables:
    scores = {**tables.get("scores", {}), "int8": card_summary(report)}
    return {
        **tables,
        "files": _named(tables["files"], path),
        "defaults": {**tables.get("defaults", {}), "precision": default},
        "scores": scores,
    }


def _named(files: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the table [files] with a quantized file, tied to the float file that it was made from."""
    return {**files, "int8": INT8_NAME, "int8_sha256": _sha256(path), "int8_of": files["sha256"]}


def _without_int8(tables: Tables) -> Tables:
    files = {key: value for key, value in tables["files"].items() if not key.startswith("int8")}
    defaults = {key: value for key, value in tables.get("defaults", {}).items() if key != "precision"}
    scores = {key: value for key, value in tables.get("scores", {}).items() if key != "int8"}
    return {**tables, "files": files, "defaults": defaults, "scores": scores}


def write_report(path: Path, report: Mapping[str, Any]) -> Path:
    """Write a report as JSON and return its path. Raises SinkError."""
    with _write_errors(path):
        _write_report(path, report)
    return path


def _write_report(path: Path, report: Mapping[str, Any]) -> None:
    waiting = path.with_name(f".part-{path.name}")
    waiting.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    waiting.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill beside the wanted one; it gets its name once it is whole, and is gone after a failure."""
    check_new(folder)
    with _write_errors(folder):
        waiting = Path(tempfile.mkdtemp(prefix=f".part-{folder.name}-", dir=folder.parent))
        try:
            yield waiting
            waiting.chmod(0o777 & ~_umask())
            waiting.rename(folder)
        except BaseException:
            shutil.rmtree(waiting, ignore_errors=True)
            raise


def _umask() -> int:
    """Return the file mode mask of this process, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(f"bundle {path}: got {error.strerror or error}; expected a place to write to.") from error
