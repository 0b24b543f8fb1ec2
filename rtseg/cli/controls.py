"""What the keys of a window do while a pipeline runs: another effect, another model."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rtseg.api import RunOptions, effects_for
from rtseg.models.bundle import list_bundles
from rtseg.pipeline.pipeline import Pipeline
from rtseg.segmenter import Segmenter, load

EFFECTS_BY_TASK: Final[dict[str, tuple[str, ...]]] = {
    "semantic": ("driving", "tint", "outline", "none"),
    "matte": ("blur", "spotlight", "replace:color=#1e7a46", "outline", "none"),
}


class KeyControls:
    """Turns the commands of a sink into changes of the running pipeline; owns the models that it loads."""

    def __init__(self, segmenter: Segmenter, options: RunOptions) -> None:
        self._options = options
        self._loaded: dict[str, Segmenter] = {segmenter.bundle.name: segmenter}

    def obey(self, pipeline: Pipeline, command: str) -> None:
        """Carry out "effect" (the next effect) or "model" (the next shipped model); other words are the sink's own."""
        if command == "effect":
            self._next_effect(pipeline)
        elif command == "model":
            self._next_model(pipeline)

    def _next_effect(self, pipeline: Pipeline) -> None:
        bundle = pipeline.segmenter.bundle
        choices = [effects_for(bundle, [name], None) for name in EFFECTS_BY_TASK[bundle.task]]
        current = choices.index(pipeline.effects) if pipeline.effects in choices else -1
        pipeline.switch_effects(choices[(current + 1) % len(choices)])

    def _next_model(self, pipeline: Pipeline) -> None:
        names = [*list_bundles()]
        current = pipeline.segmenter.bundle.name
        following = names[(names.index(current) + 1) % len(names)] if current in names else names[0]
        if following not in self._loaded:
            self._loaded[following] = load(following)
        segmenter = self._loaded[following]
        pipeline.switch_segmenter(segmenter, effects_for(segmenter.bundle, None, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for segmenter in self._loaded.values():
            segmenter.close()
