"""The networks that ship: a head on the light encoder, from one crop and where it was cut to a body in the camera.

    crop ─ LightEncoder ─┬─ 16² ─ its upper half, as it is or learned further ─ 8², 4², 2² ─┬─ HmrHead, iterative
                         └─ 32² ────────────────────────────────────────────────────────────┼─ SmplerLight, SMPLer's
    box (x, y, side) / f, landmarks read from 2² ───────────────────────────────────────────┘

``box`` (N,3): the square's centre from the principal point and its side, over the focal length, of a picture turned
about the camera's axis by the crop's rotation. The camera that a head tells is full-frame, as CLIFF's (Li et al., ECCV
2022): the pelvis lies at depth 2 / (side · s), and tx, ty are metres from the ray through the square's centre.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.nets.backbones.light import (
    CHANNELS,
    LANDMARKS,
    SIDE,
    SIZES,
    Landmarks,
    LightEncoder,
    Upper,
    load_published,
)
from monocap.nets.iterative import BodyOutput, IterativeRegressor, MeanBody, mean_body
from monocap.nets.network import Network, random_image
from monocap.nets.smpler import LIGHT, SmplerConfig, SmplerHead, WeakJoints
from monocap.nets.smpler.looks import Looks

JOINTS = 22
DROPOUT = 0.1  # in the first estimate
WITHHELD = 0.5  # of the crops in training
UPPER = ("f8", "f4", "f2")  # made by the upper half


class Head(Protocol):
    """What stands on the encoder: one answer per stage, the last is the best. ``looks``: the maps it looks at."""

    looks: tuple[str, ...]

    def __call__(self, maps: dict[str, Tensor], box: Tensor) -> list[BodyOutput]: ...


class _Deep(nn.Module):
    """The global feature: the landmarks that the encoder's own network reads from the coarsest map, that map, and a
    glance at 4².

    The landmarks were learned from real people. In training, the rest is withheld from every second crop, so that the
    head learns to go by them where a picture looks like none of the rendered ones.
    """

    length = LANDMARKS + CHANNELS["f2"] * SIZES["f2"] ** 2 + 256

    def __init__(self) -> None:
        super().__init__()
        self.beside = nn.Linear(CHANNELS["f4"] * SIZES["f4"] ** 2, 256)

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        rest = torch.cat([maps["f2"].flatten(1), torch.relu(self.beside(maps["f4"].flatten(1)))], dim=1)
        if self.training:
            rest = rest * (torch.rand(len(rest), 1, device=rest.device) > WITHHELD)
        return torch.cat([maps["landmarks"], rest], dim=1)


class HmrHead(nn.Module):
    """HMR's iterative regressor, with ReLU and three iterations, told of the box as CLIFF's is."""

    looks = ("f4", "f2")

    def __init__(self, mean: MeanBody | None = None) -> None:
        super().__init__()
        self.deep = _Deep()
        self.predictor = IterativeRegressor(
            _Deep.length, JOINTS, relu=True, dropout=DROPOUT, gain=0.1, box_info=3, mean=_start(mean)
        )

    def forward(self, maps: dict[str, Tensor], box: Tensor) -> list[BodyOutput]:
        return [_told(*stage) for stage in self.predictor(self.deep(maps), _scaled(box))]


class SmplerLight(nn.Module):
    """SMPLer's head on the maps of 32² (read near joints), 16², 8² and 4², its first estimate from the coarsest."""

    looks = ("f32", "f16", "f8", "f4", "f2")

    def __init__(self, mean: MeanBody | None = None) -> None:
        super().__init__()
        start = _start(mean)
        config = replace(LIGHT, global_feature=_Deep.length, predictor_dropout=DROPOUT, cam=tuple(start.cam.tolist()))
        joints = _LogJoints.of(load_body("open"), JOINTS)
        self.deep = _Deep()
        self.head = SmplerHead(config, joints, torch.from_numpy(start.rotmats), torch.from_numpy(start.betas))

    def forward(self, maps: dict[str, Tensor], box: Tensor) -> list[BodyOutput]:
        return self.looking(maps, box, look=False)[0]

    def looking(self, maps: dict[str, Tensor], box: Tensor, look: bool = True) -> tuple[list[BodyOutput], list[Looks]]:
        """Also where tokens looked in every block."""
        given = [maps[name] for name in ("f32", "f16", "f8", "f4")]
        stages, looks = self.head.stages(given, self.deep(maps), _scaled(box), look)
        return [_told(stage.rotmats, stage.betas, stage.cam) for stage in stages], looks


class _LogJoints(WeakJoints):
    """Weak perspective with the logarithm of s, as heads of this file have it inside."""

    def forward(self, rotmats: Tensor, betas: Tensor, cam: Tensor) -> Tensor:
        return super().forward(rotmats, betas, torch.cat([cam[:, :1].clamp(-3, 3).exp(), cam[:, 1:]], dim=1))


class LightRegressor(Network):
    """Encoder as published, its upper half once more to be learned further, maps brought to mean 0 and deviation 1 per
    channel, head."""

    crop = "light"
    joints = JOINTS
    as_published = False
    """Whether the maps that are read come from the upper half as it stands: then they need not be made again."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.encoder = LightEncoder()
        self.upper = Upper()
        self.landmarks = Landmarks()
        self.head = head
        for name, channels in (CHANNELS | {"landmarks": LANDMARKS}).items():
            self.register_buffer(f"middle_{name}", torch.zeros(channels))
            self.register_buffer(f"spread_{name}", torch.ones(channels))

    def forward(self, crop: Tensor, box: Tensor) -> list[BodyOutput]:
        """Every stage's answer for ``crop`` (N,3,256,256) RGB 0…1, ``box`` (N,3)."""
        return self.read(self.encoder(crop), box)

    def example(self, count: int) -> dict[str, Tensor]:
        """Noise, in boxes as wide as half the picture's distance."""
        box = torch.tensor([[0.1, -0.1, 0.5]]).expand(count, -1)
        return {"crop": 0.5 + 0.2 * random_image(count, SIDE, SIDE), "box": box.clone()}

    def read(self, maps: dict[str, Tensor], box: Tensor) -> list[BodyOutput]:
        """Every stage's answer to the encoder's own maps (those of ``needs`` are enough)."""
        return self.head(self._given(maps), box)

    def attention(self, crop: Tensor, box: Tensor) -> tuple[list[BodyOutput], list[Looks]]:
        """As `forward`, and where SMPLer's tokens looked. Raises InputError for a network without attention."""
        if not isinstance(self.head, SmplerLight):
            raise InputError("this network has no attention; smpler-light has")
        return self.head.looking(self._given(self.encoder(crop)), box)

    @property
    def config(self) -> SmplerConfig:
        """Of SMPLer's head. Raises AttributeError for another."""
        return self.head.head.config  # type: ignore[union-attr, return-value]

    def _given(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: self._settled(name, value) for name, value in self._all(maps).items()}

    def _settled(self, name: str, value: Tensor) -> Tensor:
        across = (slice(None), *(None,) * (value.ndim - 2))
        middle, spread = (getattr(self, f"{what}_{name}")[across] for what in ("middle", "spread"))
        return (value - middle) / spread

    def _all(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        if not self.as_published:
            _, f8, f4, f2 = self.upper(maps["f16"])
            maps = maps | {"f8": f8, "f4": f4, "f2": f2}
        seen: dict[str, Tensor] = {name: maps[name] for name in self.head.looks}  # type: ignore[union-attr]
        return seen | {"landmarks": self.landmarks(maps["f2"])}

    @property
    def needs(self) -> tuple[str, ...]:
        """The encoder's maps that `read` takes."""
        return maps_needed(self.head.looks, not self.as_published)  # type: ignore[union-attr, arg-type]

    def load_encoder(self, path: str | os.PathLike[str]) -> None:
        """Encoder, upper half and landmarks as published, from the shipped ``blazepose_lite.onnx``."""
        load_published(self.encoder, path, self.landmarks)
        self.upper.load_state_dict(self.encoder.upper.state_dict())

    def begin_with(self, state: Mapping[str, Tensor]) -> None:
        """Upper half, channels' means and first estimate of another network of this file."""
        own = self.state_dict()
        for name, value in state.items():
            for prefix in ("head.predictor.", "head.head.predictor."):
                if name.startswith(prefix):
                    rest = name.removeprefix(prefix)
                    name = next(key for key in own if key.endswith(f"predictor.{rest}"))
                    break
            if name in own and own[name].shape == value.shape:
                own[name] = value
        self.load_state_dict(own)

    @torch.no_grad()
    def settle(self, maps: dict[str, Tensor]) -> None:
        """Take means and deviations of channels from maps (N,C,h,w) of many pictures."""
        for name, value in self._all(maps).items():
            over = (0, *range(2, value.ndim))
            getattr(self, f"middle_{name}").copy_(value.float().mean(over))
            spread = value.float().std(over).clamp(min=1e-2)
            getattr(self, f"spread_{name}").copy_(spread)


HEADS = {"hmr-light": HmrHead, "smpler-light": SmplerLight}


def maps_needed(looks: tuple[str, ...], learns: bool) -> tuple[str, ...]:
    """Of the encoder's maps: those that are looked at, or, where the upper half ``learns``, what it is made from."""
    return tuple(
        name for name in CHANNELS if (name in looks and not (learns and name in UPPER)) or (learns and name == "f16")
    )


def light_regressor(name: str, mean: MeanBody | None = None) -> LightRegressor:
    """A network by name, with random weights. Raises InputError for another name."""
    if name not in HEADS:
        raise InputError(f"no light network {name!r}; there are {', '.join(HEADS)}")
    return LightRegressor(HEADS[name](mean))


def pelvis(cam: Tensor, box: Tensor) -> Tensor:
    """(N,3) m in the (turned) camera, of ``cam`` (N,3) and ``box`` (N,3)."""
    depth = 2 / (box[:, 2] * cam[:, 0])
    return torch.stack([cam[:, 1] + box[:, 0] * depth, cam[:, 2] + box[:, 1] * depth, depth], dim=-1)


def in_crop(points: Tensor, box: Tensor) -> Tensor:
    """(N,K,2), −1…1 across the square, of points (N,K,3) m in the camera; what is nearer than 10 cm is taken there."""
    depth = points[..., 2:].clamp(min=0.1)
    return (points[..., :2] / depth - box[:, None, :2]) * (2 / box[:, None, 2:])


def _start(mean: MeanBody | None) -> MeanBody:
    start = mean_body(JOINTS) if mean is None else mean
    return MeanBody(start.rotmats, start.betas, start.cam * 0)


def _told(rotmats: Tensor, betas: Tensor, cam: Tensor) -> BodyOutput:
    return BodyOutput(rotmats, betas, torch.cat([cam[:, :1].clamp(-3, 3).exp(), cam[:, 1:]], dim=1))


def _scaled(box: Tensor) -> Tensor:
    """Numbers of about size 1; the side as a logarithm, since distances differ by factors."""
    return torch.cat([2 * box[:, :2], box[:, 2:].clamp(min=1e-3).log()], dim=1)
