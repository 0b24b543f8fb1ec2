"""Random changes of training pictures: what may happen how often, the warp, and the colours.

A sample goes through: composition (people only) -> one warp for every geometric change -> weather (road only) -> colour
-> the faults of a cheap camera. All randomness comes from the generator that the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from rtseg.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How far and how often pictures are changed. Shares are of the samples, 0..1."""

    whole_share: float = 0.25
    """Samples that show the whole picture without turn or stretch, as the engine will (still mirrored)."""
    smallest_crop: float = 0.45
    """Smallest share of the picture's sides that is seen; the rest is cut away and the view enlarged."""
    largest_crop: float = 1.1
    """Largest share; above 1 the picture gets smaller, and its surroundings are ignored."""
    rare_share: float = 0.0
    """Classes: samples for which several views are drawn, of which that with the most of rare targets is taken."""
    rare_views: int = 3
    """How many views are drawn for them."""
    stretch: float = 0.15
    """Standard deviation of the logarithm of the change of aspect."""
    rotation_degrees: float = 4.0
    """Largest rotation either way."""
    flip: bool = True
    """Mirror half of the samples."""
    colour: float = 1.0
    """Strength of the changes of exposure, contrast, gamma, white balance and saturation; 0: none."""
    grey_share: float = 0.02
    """Samples without colour."""
    blur_share: float = 0.2
    """Samples out of focus or moved."""
    low_resolution_share: float = 0.15
    """Samples that were smaller once."""
    noise_share: float = 0.25
    """Samples with sensor noise."""
    compression_share: float = 0.25
    """Samples with JPEG blocks."""
    webcam_share: float = 0.0
    """Samples with the noise, smear and sharpening of a webcam in poor light."""
    night_share: float = 0.0
    """Road: samples at night."""
    glare_share: float = 0.0
    """Road: samples against a low sun or headlights."""
    rain_share: float = 0.0
    """Road: samples in rain, with a wet windscreen."""
    fog_share: float = 0.0
    """Road: samples in fog."""
    cut_out_share: float = 0.0
    """People: samples of sets with `cut_out` that are set before another background."""
    crowd_share: float = 0.0
    """People: of those, the share with two or three people; also pictures to which somebody is added."""
    nobody_share: float = 0.0
    """People: of those, the share where the background stays empty."""
    light_matching: float = 0.5
    """People: how far the light on a cut-out is drawn to that of its background, 0..1."""

    def __post_init__(self) -> None:
        """Check the shares and the ranges."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0 <= value <= 1:
                raise ConfigError(f"augment {field.name}: got {value}; expected 0 to 1. Change it.")
        if not 0 < self.smallest_crop <= self.largest_crop <= 4:
            raise ConfigError(
                f"augment: got crops from {self.smallest_crop} to {self.largest_crop}; expected 0 < smallest <= "
                "largest <= 4. Change them."
            )
        if self.rare_views < 1:
            raise ConfigError(f"augment rare_views: got {self.rare_views}; expected at least 1 view. Change it.")
        if min(self.stretch, self.rotation_degrees, self.colour, self.light_matching) < 0:
            raise ConfigError("augment: got a strength below 0; expected 0 or more. Change it.")


PROFILES: Final[Mapping[str, AugmentSettings]] = {
    "none": AugmentSettings(
        whole_share=1.0, flip=False, colour=0.0, grey_share=0.0, blur_share=0.0, low_resolution_share=0.0,
        noise_share=0.0, compression_share=0.0,
    ),
    "plain": AugmentSettings(),
    "street": AugmentSettings(
        smallest_crop=0.4, stretch=0.18, rotation_degrees=3.0, night_share=0.12, glare_share=0.08, rain_share=0.08,
        fog_share=0.06,
    ),
    "person": AugmentSettings(
        whole_share=0.2, stretch=0.25, rotation_degrees=12.0, largest_crop=1.15, webcam_share=0.15,
        cut_out_share=0.35, crowd_share=0.25, nobody_share=0.05,
    ),
}  # fmt: skip
"""none: the picture as it is; plain: any subject; street: the road; person: people."""


_GENTLER: Final = (
    "stretch", "rotation_degrees", "colour", "grey_share", "blur_share", "low_resolution_share", "noise_share",
    "compression_share", "webcam_share", "night_share", "glare_share", "rain_share", "fog_share", "cut_out_share",
)  # fmt: skip
"""What is scaled down where a run gets milder; views, mirroring and who is seen stay as they are."""


def milder(settings: AugmentSettings, amount: float) -> AugmentSettings:
    """Return settings that change pictures less: strengths and shares times 1 - `amount`, 0..1."""
    if not amount:
        return settings
    return replace(settings, **{name: getattr(settings, name) * (1 - amount) for name in _GENTLER})


def augment_settings(value: str | Mapping[str, Any], default: AugmentSettings = PROFILES["plain"]) -> AugmentSettings:
    """Return the settings that a recipe means.

    Args:
        value: a profile's name, or a table of fields with `profile` as what it starts from; empty: `default`.
        default: what an empty value means, and what a table without `profile` starts from.

    Raises:
        ConfigError: a name or a value cannot be right.
    """
    table: Mapping[str, Any] = {"profile": value} if isinstance(value, str) and value else value or {}
    profile = table.get("profile")
    if profile is not None and profile not in PROFILES:
        raise ConfigError(f"augment: got profile {profile!r}; expected one of {', '.join(PROFILES)}. Choose one.")
    known = {field.name for field in fields(AugmentSettings)}
    changes = {name: entry for name, entry in table.items() if name != "profile"}
    if unknown := sorted(set(changes) - known):
        raise ConfigError(f"augment: got {', '.join(unknown)}; expected some of {', '.join(sorted(known))}. Drop it.")
    for name, entry in changes.items():
        if isinstance(entry, bool) != (name == "flip") or not isinstance(entry, bool | int | float):
            raise ConfigError(f"augment {name}: got {entry!r}; expected a number (flip: true or false). Change it.")
    return replace(default if profile is None else PROFILES[profile], **changes)
