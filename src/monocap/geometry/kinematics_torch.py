"""Forward kinematics for torch: the compiled kernels with their exact adjoint on the CPU, the reference elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from monocap.geometry.kinematics import (
    forward_kinematics,
    forward_kinematics_adjoint,
    forward_kinematics_numba,
)


class _ForwardKinematics(torch.autograd.Function):
    """Once differentiable; second derivatives go through the reference."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, rest: Tensor, parents: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        world, joints = forward_kinematics_numba(local.detach().numpy(), rest.detach().numpy(), parents)
        world, joints = torch.from_numpy(world), torch.from_numpy(joints)
        ctx.save_for_backward(local, rest, world)
        ctx.parents = parents
        return world, joints

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        local, rest, world = ctx.saved_tensors
        n = len(ctx.parents)
        shapes = (n, 3, 3), (n, 3), (n, 3, 3), (n, 3, 3), (n, 3)
        arrays = [
            t.detach().numpy().reshape(-1, *shape)
            for t, shape in zip((local, rest, world, *grads), shapes, strict=True)
        ]
        by_local, by_rest = forward_kinematics_adjoint(arrays[0], arrays[1], ctx.parents, *arrays[2:])
        return (
            torch.from_numpy(by_local).to(local.dtype).reshape(local.shape),
            torch.from_numpy(by_rest).to(rest.dtype).reshape(rest.shape),
            None,
        )


def forward_kinematics_torch(
    local_rotmats: Tensor, rest_joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """`monocap.geometry.kinematics.forward_kinematics` for tensors, several times faster on the CPU.

    ``local_rotmats`` (…,J,3,3), ``rest_joints`` (…,J,3) metres → world rotations (…,J,3,3), joints (…,J,3).
    Differentiable once; on other devices, or under ``torch.func`` transforms, use the reference.
    """
    tensors = (local_rotmats, rest_joints)
    if any(t.device.type != "cpu" for t in tensors) or torch.compiler.is_compiling():
        return forward_kinematics(local_rotmats, rest_joints, parents)
    dtype = torch.promote_types(local_rotmats.dtype, rest_joints.dtype)
    n = len(parents)
    lead = torch.broadcast_shapes(local_rotmats.shape[:-3], rest_joints.shape[:-2])
    local = local_rotmats.to(dtype).broadcast_to((*lead, n, 3, 3))
    rest = rest_joints.to(dtype).broadcast_to((*lead, n, 3))
    return _ForwardKinematics.apply(local, rest, tuple(int(p) for p in parents))  # type: ignore[return-value]
