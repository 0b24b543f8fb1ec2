"""Which backends there are, which work here, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from rtseg.backends.base import Backend, EngineRequest, EngineSupply
from rtseg.errors import BackendUnavailable, ConfigError, EngineError, RtsegError

BACKENDS: Final[dict[str, str]] = {
    "tensorrt": "rtseg.backends.tensorrt:TensorRTBackend",
    "torch": "rtseg.backends.torch:TorchBackend",
    "openvino": "rtseg.backends.openvino:OpenVINOBackend",
    "fake": "rtseg.backends.fake:FakeBackend",
}
"""Name -> where its class is. Written out, so that nothing is found by chance. Importing them imports no runtime."""

AUTO_ORDER: Final = ("tensorrt", "torch", "openvino")
"""What `auto` tries, the fastest kind first. Plug-ins and the fake are only taken by name."""

PLUGIN_GROUP: Final = "rtseg.backends"
"""Entry point group of backends from other packages."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One line of `rtseg doctor`."""

    name: str
    """Registered name."""
    works: bool
    """True where an engine could be loaded now."""
    detail: str
    """Version and device where it works, else why it does not."""
    remedy: str = ""
    """The command that mends it, where there is one."""


def create_backend(name: str = "auto", supply: EngineSupply | None = None) -> tuple[Backend, tuple[str, ...]]:
    """Return a new backend and the reasons for the choice.

    Raises:
        ConfigError: there is no backend of that name.
        BackendUnavailable: it does not work here; for "auto", none does, and the message has each one's reason.
    """
    if name != "auto":
        backend_class = _backend_class(name)
        backend_class.probe()
        return backend_class.made_with(supply, may_build=True), (f"{name}, as asked.",)
    return _first_that(lambda _: None, supply)


def load_backend(
    name: str, request_for: Callable[[type[Backend]], EngineRequest], supply: EngineSupply | None = None
) -> tuple[Backend, tuple[str, ...]]:
    """Return a backend with an engine loaded, and the reasons for the choice.

    With "auto", a backend that works here but not with this model (no engine was built yet, the network's definition
    is not known, too little memory) gives way to the next one, and its reason is kept.

    Args:
        name: as in `create_backend`.
        request_for: returns the request for a kind of backend.
        supply: builds and proves the engines that a backend needs; for "auto" it only proves, as nobody asked for a
            build of minutes. None: what is missing is an error that names the command.

    Raises:
        ConfigError: there is no backend of that name, or the request cannot be right.
        EngineError: the engine cannot be used; for "auto", the last one's reason.
        BackendUnavailable: it does not work here; for "auto", none does.
    """
    if name == "auto":
        return _first_that(lambda backend: backend.load(request_for(type(backend))), supply)
    backend, reasons = create_backend(name, supply)
    backend.load(request_for(type(backend)))
    return backend, reasons


def _first_that(opens: Callable[[Backend], object], supply: EngineSupply | None) -> tuple[Backend, tuple[str, ...]]:
    """Return a new backend, the first in `AUTO_ORDER` that works and `opens`, and why the ones before it do not."""
    refused: list[str] = []
    failure: RtsegError | None = None
    for candidate in AUTO_ORDER:
        try:
            backend_class = _backend_class(candidate)
            backend_class.probe_for_auto()
            backend = backend_class.made_with(supply, may_build=False)
            opens(backend)
        except BackendUnavailable as error:
            refused.append(str(error))
            failure = None
        except (EngineError, ConfigError) as error:
            refused.append(str(error))
            failure = error
        else:
            return backend, (*refused, f"{candidate}, the first of {', '.join(AUTO_ORDER)} that works here.")
    if failure is not None:
        raise failure
    raise BackendUnavailable(f"backend auto: got none that works here; expected one. {' '.join(refused)}")


def backend_report() -> tuple[BackendStatus, ...]:
    """Return the state of every backend, built in and plugged in."""
    return tuple(_status(name) for name in (*BACKENDS, *_plugins()) if name != "fake")


def backend_names() -> tuple[str, ...]:
    """Return every name that can be asked for now."""
    return ("auto", *(name for name in BACKENDS if name != "fake"), *_plugins())


def _status(name: str) -> BackendStatus:
    try:
        return BackendStatus(name, True, _backend_class(name).probe())
    except BackendUnavailable as error:
        detail, _, remedy = str(error).removeprefix(f"backend {name}: ").partition(" Run: ")
        return BackendStatus(name, False, detail, remedy.rstrip("."))


def _plugins() -> dict[str, EntryPoint]:
    found = {point.name: point for point in entry_points(group=PLUGIN_GROUP)}
    return {name: point for name, point in found.items() if name not in BACKENDS}


def _backend_class(name: str) -> type[Backend]:
    """Import and return the class of a backend."""
    if name in BACKENDS:
        module, _, attribute = BACKENDS[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _load_plugin(name)
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise BackendUnavailable(f"backend {name}: got {found!r}; expected a class made from rtseg's Backend. Mend it.")
    return found


def _load_plugin(name: str) -> object:
    plugin = _plugins().get(name)
    if plugin is None:
        known = ", ".join((*backend_names(), "fake"))
        raise ConfigError(f"backend: got {name!r}; expected one of {known}. See rtseg doctor.")
    try:
        return plugin.load()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"backend {name}: got {error} from the plug-in {plugin.value}; expected it to import. Install it again."
        ) from error
