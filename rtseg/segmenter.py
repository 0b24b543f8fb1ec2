"""The segmenter: preprocess, backend and postprocess of one bundle, and the sessions that give streams their state."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, get_args

import cv2
import numpy as np

from rtseg.backends.base import Backend, BackendInfo, EngineRequest, EngineSupply, Hint, NetworkOutput, Precision
from rtseg.backends.flight import Flight
from rtseg.backends.registry import load_backend
from rtseg.errors import ConfigError, InferenceError
from rtseg.geometry import resize_linear
from rtseg.matte import snap_levels
from rtseg.models.bundle import Bundle, load_bundle
from rtseg.models.options import CardOptions
from rtseg.preprocess import NetworkBuffers, NetworkPicture, check_rgb, luma_of, to_network
from rtseg.types import Frame, Picture, Segmentation, UInt8Array, picture_size_wh


class Smoother(Protocol):
    """Temporal smoothing of one stream."""

    def smooth(self, mask: UInt8Array, luma: UInt8Array, pts_seconds: float | None = None) -> UInt8Array:
        """Return the mask uint8 [h, w] steadied by the ones before; luma uint8 [h, w] tells what moved."""

    def refine(self, mask: UInt8Array, luma_small: UInt8Array, luma_full: UInt8Array) -> UInt8Array:
        """Return what `smooth` returned at frame size, uint8 [H, W], its edges on the picture's and as calm as it."""


def load(
    name_or_path: str | Path,
    *,
    backend: str | Backend = "auto",
    precision: str | None = None,
    hint: str = "latency",
    threads: int | None = None,
    smoothing: bool | None = None,
    edges: bool | None = None,
    with_scores: bool = False,
    supply: EngineSupply | None = None,
    batch: int = 1,
    size_wh: tuple[int, int] | None = None,
    layout: str | None = None,
    channel_order: str | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    output_kind: str | None = None,
    output_layout: str | None = None,
    output_name: str | None = None,
    classes: Sequence[str] | str | int | None = None,
    palette: Sequence[object] | None = None,
) -> Segmenter:
    """Load a model and return it ready to use.

    Args:
        name_or_path: a shipped bundle ("street", "person"), a bundle folder, or a `.onnx` file.
        backend: "auto", the name of a backend, or a new Backend that has nothing loaded yet.
        precision: "fp32", "fp16", "bf16" or "int8"; None or "auto": the file that the bundle's card prefers, in the
            arithmetic that the machine does best.
        hint: "latency" (one picture as early as possible) or "throughput" (several in flight).
        threads: CPU threads for inference; None: every core this process may use.
        smoothing: steady the masks of sessions over time; None: as the bundle says (on for a matte).
        edges: refine the edges of a matte on the full-size picture; None: as the bundle says for sessions (on for a
            matte), off for single calls.
        with_scores: also give the probability of the winning class.
        supply: builds and proves the engines that a backend needs; None: `rtseg build` has to be run first.
        batch: pictures that an engine on a GPU takes at once, for so many sources that run at once; see
            `rtseg.pipeline.device_batch`. Other backends take one.
        size_wh: input width and height; this and all that follow are the facts of an ONNX file without a card.
        layout: "NCHW" or "NHWC".
        channel_order: "RGB" or "BGR".
        scale: the byte is multiplied by this first,
        mean: then this is subtracted,
        std: and the rest divided by this.
        output_kind: "logits", "labels", "probability" or "alpha".
        output_layout: "NCHW" or "NHWC".
        output_name: which output to use; None: the first.
        classes: class names, their number, or "cityscapes".
        palette: one colour a class; None: generated.

    Raises:
        ConfigError: an option or a card is wrong, or facts of an ONNX file are missing (all are named).
        EngineError: the model file cannot be used.
        BackendUnavailable: the backend does not work here.
    """
    options = CardOptions(
        size_wh, layout, channel_order, scale, mean, std, output_kind, output_layout, output_name, classes, palette
    )
    bundle = load_bundle(name_or_path, options=options)

    def request_for(kind: type[Backend]) -> EngineRequest:
        chosen, _ = bundle.choose_precision(precision, quantised=kind.runs_int8_files)
        request = _request(bundle, chosen, hint, threads, with_scores)
        return replace(request, model=str(name_or_path), batch=batch if kind.takes_batches() else 1)

    if isinstance(backend, str):
        runtime, reasons = load_backend(backend, request_for, supply)
    else:
        runtime, reasons = backend, (f"{backend.name}, as given.",)
        runtime.load(request_for(type(runtime)))
    _, file_reasons = bundle.choose_precision(precision, quantised=runtime.runs_int8_files)
    return Segmenter(bundle, runtime, backend_reasons=(*reasons, *file_reasons), smoothing=smoothing, edges=edges)


def hint_for(*, live: bool) -> Hint:
    """Return what suits a source: of a live one each frame as early as possible, of others many a second."""
    return "latency" if live else "throughput"


@cache
def _snap_table() -> UInt8Array:
    return snap_levels()


def snapped(alpha: UInt8Array) -> UInt8Array:
    """Return the matte uint8 [h, w] with almost nothing made nothing and almost everything made everything.

    A sigmoid never quite arrives at 0 or 1. Without this, two percent of the background would show through a face, and
    a face would leave a shadow of itself all over the background. One half stays one half.
    """
    return np.asarray(cv2.LUT(alpha, _snap_table()), dtype=np.uint8)


def _request(bundle: Bundle, precision: str, hint: str, threads: int | None, with_scores: bool) -> EngineRequest:
    precisions: dict[str, Precision] = {name: name for name in get_args(Precision)}
    hints: dict[str, Hint] = {name: name for name in get_args(Hint)}
    if precision not in precisions:
        raise ConfigError(f"precision: got {precision!r}; expected one of {', '.join(precisions)}. Use auto.")
    if hint not in hints:
        raise ConfigError(f"hint: got {hint!r}; expected one of {', '.join(hints)}. Use latency.")
    if threads is not None and not 1 <= threads <= 1024:
        raise ConfigError(f"threads: got {threads}; expected 1 to 1024. Leave it out for all cores.")
    network = bundle.network_for(precision)
    known = bundle.torch_network if bundle.has_card else None
    return EngineRequest(network, precisions[precision], hints[hint], threads, with_scores, torch_network=known)


class Segmenter:
    """One model, loaded. Call it with a picture, or make a session for a stream.

    Threading: calls and sessions may be used from several threads at once; one session belongs to one stream, whose
    frames are submitted and collected in order. See Note [Full backend].
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        backend_reasons: tuple[str, ...] = (),
        smoothing: bool | None = None,
        edges: bool | None = None,
    ) -> None:
        self.bundle = bundle
        """The model's card, verified."""
        self.backend_reasons = backend_reasons
        """Why this backend was taken."""
        if edges and bundle.task != "matte":
            raise ConfigError(f"edges of {bundle.name}: got edges for class labels; expected a matte. Leave edges out.")
        self._backend = backend
        self._info = backend.info
        self._smoothing = bundle.smoothing if smoothing is None else smoothing
        self._session_edges = (bundle.edges and bundle.task == "matte") if edges is None else edges
        self._call_edges = bool(edges)
        self._lock = threading.Lock()
        self._in_flight: deque[Flight] = deque()
        self._closed = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; the index is the label."""
        return self.bundle.classes

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colour of each class."""
        return self.bundle.palette

    @property
    def info(self) -> BackendInfo:
        """What the backend chose, and why."""
        return self._info

    @property
    def backend(self) -> Backend:
        """The loaded backend itself, for measuring the bare engine. Not while a session is using it."""
        return self._backend

    @property
    def smooths_masks(self) -> bool:
        """Whether sessions steady their masks over time."""
        return self._smoothing

    @property
    def refines_edges(self) -> bool:
        """Whether sessions refine the edges of mattes on the full-size picture."""
        return self._session_edges

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height that the network works at."""
        return self.bundle.network.size_wh

    def __call__(self, rgb: UInt8Array) -> Segmentation:
        """Return the segmentation of one picture, rgb uint8 [H, W, 3]; nothing is remembered between calls.

        Raises:
            ConfigError: the picture is not uint8 [H, W, 3].
            InferenceError: the engine failed.
        """
        picture = check_rgb(rgb)
        small = to_network(picture, self.size_wh)
        output = self._dispatch(small.rgb).output()
        mask, luma = self._mask_and_luma(output, small.luma)
        return self._segmentation(output, mask, luma, picture, edges=self._call_edges)

    def session(self) -> Session:
        """Return the state of one stream."""
        return Session(self)

    def close(self) -> None:
        """Wait for what is in flight and release the engine; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._in_flight.clear()
            self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Show model and backend."""
        return f"Segmenter({self.bundle.name!r}, {self._info.name} {self._info.precision}, size_wh={self.size_wh})"

    # Note [Full backend]
    # A backend has a fixed number of requests. Two sessions on one segmenter would have to wait for each other, and a
    # session that is itself waiting for a frame would block the other for good. So a full backend is emptied by
    # whoever needs a place: the oldest flight is landed, its output stays with its ticket, and nobody ever waits for
    # another session to collect.

    def _dispatch(self, rgb: UInt8Array) -> Flight:
        """Start inference of one picture at network size."""
        with self._lock:
            if self._closed:
                raise InferenceError("segmenter: got a picture after close(); expected it before. Load it again.")
            self._in_flight = deque(flight for flight in self._in_flight if not flight.landed)
            while len(self._in_flight) >= self._info.in_flight:
                self._in_flight.popleft().land()
            flight = Flight(self._backend.submit(rgb))
            self._in_flight.append(flight)
            return flight

    def _mask_and_luma(self, output: NetworkOutput, luma: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
        """Return the engine's mask uint8 [h, w], and the luma at its size, which need not be the input's."""
        mask = output.labels if output.alpha is None else snapped(output.alpha)
        if mask is None:
            raise InferenceError(f"{self._info.name}: got no mask from the engine; expected one. Please report this.")
        return mask, resize_linear(luma, (mask.shape[1], mask.shape[0]))

    def _segmentation(
        self,
        output: NetworkOutput,
        mask: UInt8Array,
        luma: UInt8Array,
        picture: Picture,
        *,
        edges: bool,
        smoother: Smoother | None = None,
    ) -> Segmentation:
        """Return a mask, its edges refined where asked and then steadied, as the segmentation of a frame."""
        size_wh = picture_size_wh(picture)
        if output.alpha is None:
            return Segmentation(self.classes, size_wh, network_labels=mask, network_scores=output.scores)
        if edges and smoother is not None:
            mask = smoother.refine(mask, luma, luma_of(picture))
        elif edges:
            mask = _refined(mask, luma, picture)
        return Segmentation(self.classes, size_wh, network_alpha=mask)

    def _new_smoother(self) -> Smoother | None:
        if not self._smoothing:
            return None
        from rtseg.postprocess import temporal

        return temporal.AlphaSmoother() if self.bundle.task == "matte" else temporal.LabelSmoother()


def _refined(alpha: UInt8Array, luma_small: UInt8Array, picture: Picture) -> UInt8Array:
    """Return the matte at the frame's size, its edges on those of the picture."""
    from rtseg.postprocess.edges import refine_alpha

    return refine_alpha(alpha, luma_small, luma_of(picture))


class Session:
    """The state of one stream: what is in flight, in order, and what smoothing remembers."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._smoother = segmenter._new_smoother()
        # Only smoothing and edges look at the luma again when the frame is collected, with others submitted by then.
        keeps_luma = self._smoother is not None or segmenter._session_edges
        self._buffers = NetworkBuffers(keeps_luma=keeps_luma)
        self._outstanding: deque[Ticket] = deque()

    def submit(self, frame: Frame) -> Ticket:
        """Start on one frame; at most `segmenter.info.in_flight` may be outstanding.

        Raises:
            InferenceError: too many are outstanding, or the engine refused the picture.
        """
        most = self._segmenter.info.in_flight
        if len(self._outstanding) >= most:
            raise InferenceError(
                f"session: got more than {most} frames outstanding; expected at most that. Collect one."
            )
        started_ns = time.perf_counter_ns()
        small = to_network(frame.picture, self._segmenter.size_wh, self._buffers)
        preprocess_ns = time.perf_counter_ns() - started_ns
        ticket = Ticket(self, frame, small, self._segmenter._dispatch(small.rgb), preprocess_ns)
        self._outstanding.append(ticket)
        return ticket

    def _collect(self, ticket: Ticket) -> Segmentation:
        if not self._outstanding or self._outstanding[0] is not ticket:
            raise InferenceError(
                f"session: got frame {ticket.frame.frame_index} collected out of order or twice; expected the oldest "
                "outstanding one. Collect in the order of submission."
            )
        self._outstanding.popleft()
        output = ticket._flight.output()
        started_ns = time.perf_counter_ns()
        segmenter, frame = self._segmenter, ticket.frame
        mask, luma = segmenter._mask_and_luma(output, ticket._luma)
        if self._smoother is not None:
            mask = self._smoother.smooth(mask, luma, frame.pts_seconds)
        edges, smoother = segmenter._session_edges, self._smoother
        result = segmenter._segmentation(output, mask, luma, frame.picture, edges=edges, smoother=smoother)
        ticket.postprocess_ns = time.perf_counter_ns() - started_ns
        return result


class Ticket:
    """One submitted frame."""

    def __init__(
        self, session: Session, frame: Frame, small: NetworkPicture, flight: Flight, preprocess_ns: int
    ) -> None:
        self.frame = frame
        """The frame."""
        self.preprocess_ns = preprocess_ns
        """Resizing and colour conversion."""
        self.postprocess_ns = 0
        """Smoothing and edge refinement; 0 until collected."""
        self._session = session
        self._luma = small.luma
        self._flight = flight

    @property
    def infer_ns(self) -> int:
        """How long the engine worked on this frame; 0 until collected."""
        return self._flight.infer_ns

    def result(self) -> Segmentation:
        """Wait for the frame and return its segmentation; once, in the order of submission.

        Raises:
            InferenceError: the engine failed on this frame, or it was collected out of order.
        """
        return self._session._collect(self)
