"""Checkpoints that survive a kill at any moment: one safetensors file, put in place whole, with its predecessor kept.

Note [Whole or not at all]
    A checkpoint is written under another name, flushed to the disk and renamed; the old one keeps its content under a
    second name until then. Whenever the process dies, one of the two is whole. Counters are JSON in the header of the
    same file, so that weights and counters cannot be of different moments. No pickle is written or read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from rtseg.errors import TrainingError
from rtseg.train.optimise import restore_state, state_tensors

LAST_NAME: Final = "last.safetensors"
PREVIOUS_NAME: Final = "previous.safetensors"
_COUNTERS: Final = "counters"


def write_checkpoint(
    folder: Path,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    counters: Mapping[str, Any],
) -> None:
    """Write the state of a run. See Note [Whole or not at all].

    Args:
        folder: of the run.
        network: in training.
        average: its averaged copy.
        optimiser: its tensors are kept; its settings come from the recipe.
        counters: plain values: step, samples, seconds …

    Raises:
        TrainingError: the file cannot be written.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"optimiser/{name}": value for name, value in state_tensors(optimiser).items()}
    try:
        _write_whole(folder, tensors, counters)
    except OSError as error:
        raise TrainingError(
            f"checkpoint in {folder}: got {error.strerror or error}; expected a folder with room. Free some and resume."
        ) from error


def _write_whole(folder: Path, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    last, previous, waiting = folder / LAST_NAME, folder / PREVIOUS_NAME, folder / f".part-{LAST_NAME}"
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with waiting.open("wb") as file:
        file.write(save(plain, {_COUNTERS: json.dumps(counters)}))
        file.flush()
        os.fsync(file.fileno())
    if last.exists():
        second = folder / f".part-{PREVIOUS_NAME}"
        second.unlink(missing_ok=True)
        os.link(last, second)
        second.replace(previous)
    waiting.replace(last)
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some systems cannot open folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run has left something to resume from."""
    return any((folder / name).exists() for name in (LAST_NAME, PREVIOUS_NAME))


def read_checkpoint(
    folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put the state of a run back in place and return its counters; the predecessor where the last file is broken.

    Raises:
        TrainingError: there is none that can be read, or it is of another network.
    """
    tensors, counters = _read_whole(folder)
    _restore(network, _part(tensors, "network"), folder)
    _restore(average, _part(tensors, "average"), folder)
    restore_state(optimiser, _part(tensors, "optimiser"))
    return counters


def _read_whole(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    complaint = "no file"
    for name in (LAST_NAME, PREVIOUS_NAME):
        with suppress(FileNotFoundError):
            try:
                with safe_open(folder / name, "pt") as file:
                    counters = json.loads((file.metadata() or {})[_COUNTERS])
                    return {key: file.get_tensor(key) for key in file.keys()}, counters
            except (SafetensorError, KeyError, ValueError) as error:
                complaint = str(error)
    raise TrainingError(
        f"checkpoint in {folder}: got {complaint}; expected {LAST_NAME} of a run. Start again without --resume."
    )


def _part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _restore(network: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Copy values into the network's own tensors, which keep their device and memory order."""
    own = network.state_dict()
    if set(own) != set(tensors) or any(own[name].shape != tensors[name].shape for name in own):
        raise TrainingError(
            f"checkpoint in {folder}: got weights of another network; expected those of the recipe's. "
            "Resume with the recipe that the run began with, or choose another --out."
        )
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
