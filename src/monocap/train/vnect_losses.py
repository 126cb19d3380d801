"""What VNect's maps pay for: heatmaps, location maps near the joints, maps relative to parents, intermediate ones.

Source: Mehta et al., *VNect* (SIGGRAPH 2017): squared distance of heatmaps from small Gaussians; of location maps per
axis, weighted by the Gaussian, so that a value counts only where its joint is; the same earlier in the network, paid
for less and less. Numbers are comparable between sizes of maps: a heatmap that is 0 everywhere costs 1, a location
that is a decimetre off in one axis costs 1 in that axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from monocap.nets.vnect_maps import JOINTS, UNIT, Looked, Maps, VnectNetwork
from monocap.skeletons import get, vnect

PARENTS = tuple(j if p < 0 else p for j, p in enumerate(get(vnect.NAME).parents))  # the root is its own


class Targets(NamedTuple):
    """Of N crops. ``points`` (N,21,2), −1…1 from edge to edge of the crop; ``inside`` (N,21): 1 where they lie in it;
    ``judged`` (N,21): 1 where it is known whether and where the joint is; ``places`` (N,21,3) m about the pelvis, of
    the person of normalised height; ``known`` (N,21): 1 where they are."""

    points: Tensor
    inside: Tensor
    judged: Tensor
    places: Tensor
    known: Tensor


@dataclass(frozen=True)
class VnectLosses:
    """Weights. ``sigma`` of the Gaussians, cells; ``elsewhere``: of what a location map pays for, the part that lies on
    the whole map and not at the joint, so that where a heatmap errs, or the joint is out of view, the place read is
    still of this person (0: as published); ``earlier``: of intermediate maps at the beginning, which falls to 0 when
    ``faded`` of the run is done; ``stage``: "2d" pays for heatmaps alone."""

    heatmaps: float = 8.0
    places: float = 1.0
    deltas: float = 1.0
    sigma: float = 1.0
    elsewhere: float = 0.1
    earlier: float = 0.5
    faded: float = 0.5
    stage: str = "3d"


class Supervised(nn.Module):
    """A network and, for training only, 1×1 layers that make maps of its taps."""

    def __init__(self, network: VnectNetwork) -> None:
        super().__init__()
        self.network = network
        self.sides = nn.ModuleDict({name: nn.Conv2d(width, 4 * JOINTS, 1) for name, width in network.taps.items()})

    def forward(self, given: Tensor | dict[str, Tensor]) -> tuple[Looked, list[Maps]]:
        """What the network looks at in crops (N,3,S,S), or in the maps of its frozen encoder, and earlier maps."""
        if isinstance(given, dict):
            looked: Looked = self.network.read(given)  # type: ignore[operator]
        else:
            looked = self.network.look(given)
        return looked, [Maps.of(self.sides[name](tap)) for name, tap in looked.taps.items()]


def gaussians(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(N,21,h,w): heatmaps of joints at ``points`` (N,21,2) of `Targets`, ``sigma`` in cells."""
    along = []
    for axis, count in enumerate((size[1], size[0])):
        cells = torch.arange(count, device=points.device, dtype=points.dtype)
        at = (points[..., axis : axis + 1] + 1) * (count / 2) - 0.5
        along.append(torch.exp(-0.5 * ((cells - at) / sigma).square()))
    return along[1][..., :, None] * along[0][..., None, :]


def vnect_losses(
    which: VnectLosses, looked: Looked, earlier: list[Maps], targets: Targets, progress: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its parts, for what the network says when ``progress`` (0–1) of the run is done."""
    maps = looked.maps
    parts = _of_maps(which, maps, targets)
    if which.stage == "3d":
        parents = torch.tensor(PARENTS, device=targets.places.device)
        steps = targets.places - targets.places[:, parents]
        known = targets.known * targets.known[:, parents]
        weights = _weights(which, _size(maps.x), targets)
        parts["deltas"] = _located(looked.deltas.split(JOINTS, dim=1), steps, weights, known)
    prices = {"heatmaps": which.heatmaps, "places": which.places, "deltas": which.deltas}
    total = torch.stack([prices[name] * value for name, value in parts.items()]).sum()
    fading = which.earlier * max(0.0, 1.0 - progress / which.faded) if which.faded > 0 else 0.0
    if earlier and fading > 0:
        before = [sum(prices[k] * v for k, v in _of_maps(which, one, targets).items()) for one in earlier]
        parts["earlier"] = sum(before) / len(before)  # type: ignore[assignment]
        total = total + fading * parts["earlier"]
    return total, parts


def _of_maps(which: VnectLosses, maps: Maps, targets: Targets) -> dict[str, Tensor]:
    wanted = gaussians(targets.points, _size(maps.heatmaps), which.sigma) * targets.inside[..., None, None]
    missed = (maps.heatmaps - wanted).square().sum((-2, -1)) / (torch.pi * which.sigma**2)
    parts = {"heatmaps": _mean(missed, targets.judged)}
    if which.stage == "3d":
        weights = _weights(which, _size(maps.x), targets)
        parts["places"] = _located(maps[1:], targets.places, weights, targets.known)
    return parts


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _weights(which: VnectLosses, size: tuple[int, int], targets: Targets) -> Tensor:
    """(N,21,h,w): how much a location map's value counts, adding up to about 1 for a joint in view."""
    near = gaussians(targets.points, size, which.sigma).square() / (torch.pi * which.sigma**2)
    return near * targets.inside[..., None, None] + which.elsewhere / (size[0] * size[1])


def _located(maps: tuple[Tensor, ...], places: Tensor, weights: Tensor, known: Tensor) -> Tensor:
    missed = sum(
        (weights * (one - places[..., axis, None, None]).square()).sum((-2, -1)) for axis, one in enumerate(maps)
    )
    return _mean(missed / UNIT**2, known)  # type: ignore[arg-type]


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum() / counted.sum().clamp(min=1)


def as_targets(points: np.ndarray, places: np.ndarray, side: int, device: torch.device | str = "cpu") -> Targets:
    """Of crops of ``side`` pixels of which all is known: ``points`` (N,21,2), −1…1 with the middle at pixel side / 2
    (`data.training_view`), and ``places`` (N,21,3)."""
    points = points + 1 / side
    inside = (np.abs(points) < 1).all(axis=-1)
    every = np.ones(inside.shape)
    found = (points, inside, every, places, every)
    return Targets(*(torch.from_numpy(np.asarray(value, np.float32)).to(device) for value in found))
