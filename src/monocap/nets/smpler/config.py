"""The sizes of SMPLer and the switches of its ablations, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from monocap.errors import InputError
from monocap.geometry.rotations import Layout6D

Points = Literal["flow", "stop"]
Border = Literal["repeat", "ignore"]


@dataclass(frozen=True)
class SmplerConfig:
    """What a head is built from; feature maps are square and given from fine to coarse.

    - ``channels`` and ``sizes`` (side, pixels) of every map; ``width`` d of the tokens, ``heads``, ``units`` U in each
      of ``blocks`` B; ``hidden`` of the feed-forward layers over d;
    - ``joints`` J: J + 2 tokens; ``global_feature`` length of g (0: that of the last map's mean);
    - ``global_scales``: the maps to which all tokens attend; ``local``: joint-aware attention, every joint to
      the window of ±``radius`` pixels round it on map ``local_scale``, and the joint's feature added to its token;
    - ``border``: what a window holds of the outside: the border's pixel again, as published, or nothing;
    - ``pooled_position``: maps share one learned embedding of position, halved from scale to scale; else each its own;
    - ``box_info``: so many numbers about the crop (CLIFF's have 3), told to the first estimate and the camera's token;
    - ``dropout`` in attention's output and feed-forward layers, ``attention_dropout`` on its weights,
      ``predictor_dropout``;
    - ``points``: whether gradients flow through the places at which features are read;
    - ``cam`` (s, tx, ty) of the initial estimate, ``iterations`` and ``predictor_width`` of its regressor; ``layout``.

    Defaults are the published ones for HRNet-W32 at 224 px.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    sizes: tuple[int, ...] = (56, 28, 14, 7)
    width: int = 128
    heads: int = 4
    units: int = 2
    blocks: int = 3
    hidden: float = 2.0
    joints: int = 24
    global_feature: int = 0
    global_scales: tuple[int, ...] = (0, 1, 2, 3)
    local: bool = True
    local_scale: int = 0
    radius: int = 4
    border: Border = "repeat"
    pooled_position: bool = True
    box_info: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    predictor_dropout: float = 0.5
    points: Points = "flow"
    cam: tuple[float, float, float] = (1.0, 0.0, 0.0)
    iterations: int = 3
    predictor_width: int = 1024
    layout: Layout6D = "interleaved_columns"

    def __post_init__(self) -> None:
        scales = len(self.channels)
        if len(self.sizes) != scales:
            raise InputError(f"SMPLer: {scales} channel counts and {len(self.sizes)} sizes; expected as many")
        if not self.global_scales or any(not 0 <= s < scales for s in self.global_scales):
            raise InputError(f"SMPLer: global scales {self.global_scales}; expected some of 0 … {scales - 1}")
        if list(self.global_scales) != sorted(set(self.global_scales)):
            raise InputError(f"SMPLer: global scales {self.global_scales}; expected them in rising order")
        if not 0 <= self.local_scale < scales:
            raise InputError(f"SMPLer: local scale {self.local_scale}; expected one of 0 … {scales - 1}")
        if self.width % self.heads:
            raise InputError(f"SMPLer: width {self.width} is not a multiple of {self.heads} heads")
        if self.pooled_position:
            finest = self.sizes[self.global_scales[0]]
            for s in self.global_scales:
                if finest % self.sizes[s]:
                    raise InputError(f"SMPLer: a map of side {finest} cannot be pooled to {self.sizes[s]}")

    @property
    def tokens(self) -> int:
        """Tokens: one per joint, one for the shape, one for the camera."""
        return self.joints + 2

    @property
    def g(self) -> int:
        """Length of the global feature."""
        return self.global_feature or self.channels[-1]


SMPLER_W32 = SmplerConfig()
SMPLER_W48 = replace(SMPLER_W32, channels=(48, 96, 192, 384))
OWN = {"joints": 22, "box_info": 3, "border": "ignore"}
"""What our own training changes: no hand joints, which bodies here have fingers for; the network is told where the crop
lies, since the same picture means another rotation off the axis; pixels at the border count once."""

LIGHT = SmplerConfig(
    channels=(32, 56, 192, 192),
    sizes=(32, 16, 8, 4),
    units=1,
    joints=22,
    global_feature=768,
    global_scales=(1, 2, 3),
    radius=2,
    box_info=3,
    dropout=0.0,
    attention_dropout=0.0,
    points="stop",
)
"""For the light encoder's maps on a CPU: the finest, which costs most, is only read near joints; a window of ±2 of 32
pixels covers what ±4 of 56 does."""
