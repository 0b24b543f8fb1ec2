"""Measure rtseg and its peers side by side: the same video, model, size and job, each in its own environment.

Every repetition starts every peer once as a process of its own, one after the other, in rotating order; nothing else
of ours runs meanwhile. What is timed stands in `job.py`. A peer that cannot be installed, or fails, is listed with the
reason.

    python benchmarks/peers/compare.py --street VIDEO --person VIDEO --json benchmarks/results/peers-NAME.json

Without videos, the built-in scenes are written to H.264 files first (960x540 and 1280x720). The environments lie in
`--environments` (default: the user's cache) and are used again. `--models` names the folder with the public ONNX
file of the MediaPipe model; without it that peer is listed as absent.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import platformdirs

import rtseg
from rtseg.models.bundle import load_bundle
from rtseg.stats import machine_facts

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
JOBS = {
    "street-null": "street 540p, class tints, frames thrown away",
    "street-file": "street 540p, class tints, to a video file",
    "person-null": "person 720p, background blurred, frames thrown away",
}
SECONDS_TO_INSTALL = 1200
SECONDS_TO_RUN = 600


@dataclass(frozen=True)
class Peer:
    """A row of peers.toml."""

    name: str
    script: str
    requirements: tuple[str, ...]
    jobs: tuple[str, ...]
    model: str | None = None


@dataclass(frozen=True)
class Footage:
    """What is measured on."""

    street: Path
    person: Path
    frames: int

    def of(self, job: str) -> Path:
        """The video of a job."""
        return self.street if job.startswith("street") else self.person


def peers_listed() -> tuple[list[Peer], list[dict[str, str]]]:
    """Return the peers and those that are named as absent."""
    table = tomllib.loads((HERE / "peers.toml").read_text())
    rows = [
        Peer(r["name"], r["script"], tuple(r["requirements"]), tuple(r["jobs"]), r.get("model")) for r in table["peer"]
    ]
    return rows, list(table["absent"])


def installed(peer: Peer, environments: Path) -> Path:
    """Return the python of the peer's environment, made first where there is none.

    Raises:
        RuntimeError: pip failed; its last line says why.
    """
    folder = environments / Path(peer.script).stem
    python = folder / "bin" / "python"
    wanted = "\n".join(peer.requirements)
    ready = folder / "installed.txt"
    if ready.exists() and ready.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
    names = [part for name in peer.requirements for part in (("-e", str(PROJECT)) if name == "{project}" else (name,))]
    command = [str(python), "-m", "pip", "install", "--quiet", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_INSTALL, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise RuntimeError(f"pip: {lines[-1] if lines else 'failed without a word'}")
    ready.write_text(wanted)
    return python


def run_once(peer: Peer, python: Path, job: str, footage: Footage, models: Path | None) -> dict[str, Any]:
    """Run one peer at one job and return what it reports.

    Raises:
        RuntimeError: it failed; its last line says why.
    """
    kind = job.partition("-")[0]
    if peer.model is None:
        bundle = load_bundle(kind).network_for("auto").onnx_path.parent
    elif models is not None and (models / peer.model).exists():
        bundle = models / peer.model
    else:
        raise RuntimeError(f"{peer.model} is not here; name its folder with --models")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), str(HERE / peer.script), "--video", str(footage.of(job)), "--bundle", str(bundle)]
        command += ["--kind", kind, "--frames", str(footage.frames)]
        command += ["--out", str(Path(folder) / "seen.mp4")] if job.endswith("file") else []
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(HERE)}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_TO_RUN, check=False, env=environment
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def turns(peers: list[Peer], repeats: int) -> Iterator[tuple[int, Peer, str]]:
    """Yield (repetition, peer, job) so that every repetition has all of them, in another order each time."""
    pairs = [(peer, job) for job in JOBS for peer in peers if job in peer.jobs]
    for repetition in range(repeats):
        start = repetition * max(1, len(pairs) // max(1, repeats)) % max(1, len(pairs))
        for peer, job in pairs[start:] + pairs[:start]:
            yield repetition, peer, job


def measure(
    peers: list[Peer], footage: Footage, repeats: int, environments: Path, models: Path | None
) -> list[dict[str, Any]]:
    """Return one entry a peer and job: every repetition's numbers, or why there are none."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    pythons: dict[str, Path] = {}
    for repetition, peer, job in turns(peers, repeats):
        entry = found.setdefault((peer.name, job), {"peer": peer.name, "job": job, "runs": [], "error": None})
        if entry["error"]:
            continue
        try:
            if peer.name not in pythons:
                pythons[peer.name] = installed(peer, environments)
            report = run_once(peer, pythons[peer.name], job, footage, models)
        except (RuntimeError, subprocess.SubprocessError, ValueError) as error:
            entry["error"] = str(error)
        else:
            entry["runs"].append({"fps": report["fps"], "core_ms": report["core_ms"]})
            entry["facts"] = {k: v for k, v in report.items() if k not in ("fps", "core_ms")}
        told = entry["error"] or f"{entry['runs'][-1]['fps']:.1f} fps, {entry['runs'][-1]['core_ms']:.1f} core-ms"
        print(f"{repetition + 1}/{repeats} {job:12} {peer.name:24} {told}", flush=True)
    return list(found.values())


def with_ratios(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add medians, and how many times as fast rtseg is: the median of the ratios within each repetition."""
    ours = {entry["job"]: entry["runs"] for entry in entries if entry["peer"] == "rtseg"}
    for entry in entries:
        runs = entry["runs"]
        for key in ("fps", "core_ms"):
            entry[key] = statistics.median(run[key] for run in runs) if runs else None
        pairs = list(zip(ours.get(entry["job"], []), runs, strict=False))
        ratios = [mine["fps"] / theirs["fps"] for mine, theirs in pairs]
        entry["rtseg_times_as_fast"] = statistics.median(ratios) if ratios else None
        entry["ratios"] = ratios
    return entries


def scene_videos(folder: Path, frames: int) -> tuple[Path, Path]:
    """Write the built-in scenes as H.264 files and return their paths."""
    paths = []
    for scene, size in (("street", "960x540"), ("desk", "1280x720")):
        path = folder / f"{scene}_{size}.mp4"
        if not path.exists():
            rtseg.run(f"synthetic:{scene}?size={size}", effect="none", out=str(path), max_frames=frames, model="person")
        paths.append(path)
    return paths[0], paths[1]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--street", type=Path, help="H.264 video of a road, 960x540")
    parser.add_argument("--person", type=Path, help="H.264 video of a person, 1280x720")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of peers; rtseg is always among them")
    parser.add_argument("--models", type=Path, help="folder with the public ONNX files of peers")
    parser.add_argument("--environments", type=Path, default=Path(platformdirs.user_cache_dir("rtseg")) / "peers")
    parser.add_argument("--install-only", action="store_true", help="make the environments and stop")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def install_all(peers: list[Peer], environments: Path) -> int:
    """Make every environment; return how many failed."""
    failed = 0
    for peer in peers:
        try:
            print(f"{peer.name}: {installed(peer, environments)}", flush=True)
        except RuntimeError as error:
            failed += 1
            print(f"{peer.name}: {error}", flush=True)
    return failed


def main() -> int:
    """Measure, print, write the JSON."""
    chosen = parsed()
    peers, absent = peers_listed()
    peers = [peer for peer in peers if chosen.only is None or peer.name in ("rtseg", *chosen.only)]
    chosen.environments.mkdir(parents=True, exist_ok=True)
    if chosen.install_only:
        return 1 if install_all(peers, chosen.environments) else 0
    with tempfile.TemporaryDirectory() as folder:
        street, person = chosen.street, chosen.person
        if street is None or person is None:
            scenes = scene_videos(Path(folder), chosen.frames)
            street, person = street or scenes[0], person or scenes[1]
        footage = Footage(street.resolve(), person.resolve(), chosen.frames)
        entries = with_ratios(measure(peers, footage, chosen.repeats, chosen.environments, chosen.models))
    document = {
        "date": date.today().isoformat(),
        "jobs": JOBS,
        "videos": {"street": street.name, "person": person.name},
        "frames": chosen.frames,
        "repeats": chosen.repeats,
        "results": entries,
        "absent": absent,
        "machine": machine_facts(),
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
