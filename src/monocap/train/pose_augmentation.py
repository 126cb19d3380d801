"""What is done to body poses before a prior sees them: mirrored, limbs exchanged, noise, parts masked."""

from __future__ import annotations

import torch
from torch import Tensor

from monocap import skeletons

_NAMES = skeletons.get("smplx55").joint_names[1:22]
_FLIP = tuple(i - 1 for i in skeletons.get("smplx55").flip[1:22])


def _part(*names: str) -> tuple[int, ...]:
    return tuple(_NAMES.index(name) for name in names)


PARTS: dict[str, tuple[int, ...]] = {
    "left leg": _part("left_hip", "left_knee", "left_ankle", "left_foot"),
    "right leg": _part("right_hip", "right_knee", "right_ankle", "right_foot"),
    "left arm": _part("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
    "right arm": _part("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    "trunk": _part("spine1", "spine2", "spine3", "neck", "head"),
}
"""Joints of ``body_pose`` (0–20) by body part; together they are all 21."""


def _chosen(count: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < share


def _parts_mask(count: int, generator: torch.Generator) -> Tensor:
    """(count,21) bool: the joints of one random part per pose."""
    table = torch.zeros(len(PARTS), len(_NAMES), dtype=torch.bool)
    for row, joints in enumerate(PARTS.values()):
        table[row, list(joints)] = True
    return table[torch.randint(len(PARTS), (count,), generator=generator)]


def mirrored(body_pose: Tensor) -> Tensor:
    """The mirror image of (N,63): left and right exchanged, rotations reflected in the plane x = 0."""
    pose = body_pose.reshape(-1, len(_NAMES), 3)[:, list(_FLIP)]
    return (pose * torch.tensor([1.0, -1.0, -1.0], dtype=pose.dtype, device=pose.device)).reshape(body_pose.shape)


def mirror(body_pose: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the poses (N,63) replaced by their mirror images."""
    return torch.where(_chosen(len(body_pose), share, generator)[:, None], mirrored(body_pose), body_pose)


def exchange_limbs(body_pose: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """One part of a share of the poses (N,63) taken from another pose of the batch.

    Every joint stays within what was measured; combinations widen beyond it.
    """
    count = len(body_pose)
    mask = _chosen(count, share, generator)[:, None] & _parts_mask(count, generator)
    other = body_pose[torch.randperm(count, generator=generator)]
    return torch.where(mask.repeat_interleave(3, dim=1), other, body_pose)


def invent_limbs(body_pose: Tensor, invented: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """In a share of the poses (N,63) about half of the parts are those of ``invented`` (M,63) poses.

    With random poses within joint limits: for networks that must express all a body can do, not how usual it is.
    """
    count = len(body_pose)
    other = invented[torch.randint(len(invented), (count,), generator=generator)]
    mask = torch.zeros(count, len(_NAMES), dtype=torch.bool)
    for joints in PARTS.values():
        mask[:, list(joints)] = _chosen(count, 0.5, generator)[:, None]
    mask &= _chosen(count, share, generator)[:, None]
    return torch.where(mask.repeat_interleave(3, dim=1), other, body_pose)


def jitter(body_pose: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of ``deviation`` rad on every number of (N,63), its size itself random per pose (0 to 1 times)."""
    size = deviation * torch.rand(len(body_pose), 1, generator=generator)
    return body_pose + size * torch.randn(body_pose.shape, generator=generator)


def noisy_part(rotation_6d: Tensor, size: float, share: float, generator: torch.Generator) -> Tensor:
    """Uniform noise in ±``size`` on the numbers of one part in a share of the poses (N,21,6)."""
    count = len(rotation_6d)
    mask = _chosen(count, share, generator)[:, None] & _parts_mask(count, generator)
    noise = (2 * torch.rand(rotation_6d.shape, generator=generator) - 1) * size
    return torch.where(mask[..., None], rotation_6d + noise, rotation_6d)


def masked_part(rotation_6d: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """One part set to zeros in a share of the poses (N,21,6)."""
    mask = _chosen(len(rotation_6d), share, generator)[:, None] & _parts_mask(len(rotation_6d), generator)
    return torch.where(mask[..., None], torch.zeros_like(rotation_6d), rotation_6d)
