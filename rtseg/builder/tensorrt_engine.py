"""Compiling: TensorRT's network in, a serialized engine out, with progress, and stopped by Ctrl-C.

Note [Interrupting the compiler]
    The compiler is one long call into TensorRT, done apart (see Note [Signals and callbacks]). What arrives in the
    caller's thread, which waits, makes the progress monitor answer "stop" at the next step. Nothing has been written by
    then.

Note [What is built for]
    TensorRT for RTX can be told for which compute capability it builds. An engine for the GPU at hand alone is smaller
    and may be faster, so that is tried first; where there is none, or TensorRT refuses it, the engine is built for all
    that it supports. Which it was is in the manifest. The data-centre flavour always builds for the GPU at hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from rtseg.builder.tensorrt_network import ParsedNetwork
from rtseg.engine_files.key import EnginePrecision
from rtseg.errors import EngineError
from rtseg.tensorrt_flavour import Flavour
from rtseg.tensorrt_log import Log, apart, log_of

CURRENT: Final = "the GPU at hand"
DEFAULT: Final = "every GPU that the flavour supports"


@dataclass(frozen=True, slots=True)
class Compiled:
    """An engine, and what it was built for."""

    plan: bytes
    target: str
    """`CURRENT` or `DEFAULT`, with why not the other where that was tried first."""


@dataclass(frozen=True, slots=True)
class BuildStep:
    """Where the compiler is."""

    phase: str
    """In TensorRT's words."""
    parent: str | None
    """The phase that this one is part of."""
    done: int
    """Steps of this phase that are done; -1: it has ended."""
    total: int


OnBuildStep = Callable[[BuildStep], None]
"""Called from the compiler's thread; must not raise."""


def compile_network(
    parsed: ParsedNetwork, flavour: Flavour, precision: EnginePrecision, *, on_step: OnBuildStep | None = None
) -> Compiled:
    """Return the serialized engine. See Note [What is built for].

    Args:
        parsed: TensorRT's network.
        flavour: that read it.
        precision: of the graph; fp32 forbids the shortened fp32 of tensor cores.
        on_step: for a progress bar.

    Raises:
        EngineError: TensorRT cannot build it; the message has its own words.
        KeyboardInterrupt: it came while building; TensorRT has stopped by then.
    """
    refused = ""
    for target in _targets(flavour):
        config = _config(parsed, flavour, precision)
        monitor = _new_monitor(flavour, on_step)
        config.progress_monitor = monitor
        with log_of(flavour).recording() as said:
            work = partial(parsed.builder.build_serialized_network, parsed.network, config)
            plan = apart(work, stop=monitor.stop) if _aims(config, flavour, target) else None
        if plan is not None:
            return Compiled(bytes(plan), f"{target}{refused}")
        refused = f", as {target} was refused ({Log.telling(said)})"
    raise EngineError(f"{flavour}: got no engine{refused}; expected one. Try another precision or backend.")


def _targets(flavour: Flavour) -> tuple[str, ...]:
    """Return what is tried, in order. See Note [What is built for]."""
    return (CURRENT, DEFAULT) if hasattr(flavour.module, "ComputeCapability") else (DEFAULT,)


def _aims(config: Any, flavour: Flavour, target: str) -> bool:
    """Let the configuration name a target; return whether it takes it."""
    if target == DEFAULT:
        return True
    config.num_compute_capabilities = 1
    return bool(config.set_compute_capability(flavour.module.ComputeCapability.CURRENT, 0))


def _config(parsed: ParsedNetwork, flavour: Flavour, precision: EnginePrecision) -> Any:
    trt = flavour.module
    config = parsed.builder.create_builder_config()
    if flavour.builds_without_gpu:  # nothing is timed there, and the cache of timings would ask for a GPU
        config.set_flag(trt.BuilderFlag.DISABLE_TIMING_CACHE)
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    return config


def _new_monitor(flavour: Flavour, on_step: OnBuildStep | None) -> Any:
    """Return a progress monitor of this flavour; its `stop` ends the build at the next step."""
    trt = flavour.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stop = threading.Event()
            self._phases: dict[str, tuple[str | None, int]] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = (parent_phase, num_steps)
            self._tell(phase_name, 0)

        def phase_finish(self, phase_name: str) -> None:
            self._tell(phase_name, -1)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return not self.stop.is_set()

        def _tell(self, phase: str, done: int) -> None:
            if on_step is not None:
                parent, total = self._phases.get(phase, (None, 0))
                on_step(BuildStep(phase, parent, done, total))

    return Monitor()
