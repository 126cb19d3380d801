"""The compiled kinematics of torch against the differentiable reference."""

import numpy as np
import pytest

from monocap.geometry.kinematics import forward_kinematics
from monocap.skeletons import get

torch = pytest.importorskip("torch", reason="the torch half of the kinematics")
PARENTS = get("smplx55").parents


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("poses", "shapes"), [((), ()), ((3,), ()), ((), (2,)), ((2, 3), (3,))])
def test_values_and_gradients_equal_the_reference(rng, dtype, poses, shapes):
    from monocap.geometry.kinematics_torch import forward_kinematics_torch

    kind = getattr(torch, dtype)
    results = []
    start = rng.normal(size=(*poses, 55, 3, 3)) * 0.5, rng.normal(0, 0.3, (*shapes, 55, 3))
    lead = np.broadcast_shapes(poses, shapes)
    weights = rng.normal(size=(*lead, 55, 3, 3)), rng.normal(size=(*lead, 55, 3))
    for function in (forward_kinematics_torch, forward_kinematics):
        local, rest = (torch.tensor(a, dtype=kind, requires_grad=True) for a in start)
        world, joints = function(local, rest, PARENTS)
        assert world.dtype == joints.dtype == kind
        w = [torch.tensor(a, dtype=kind) for a in weights]
        ((w[0] * world).sum() + (w[1] * joints).sum()).backward()
        results.append([t.detach().numpy() for t in (world, joints, local.grad, rest.grad)])
    slack = 1e-4 if dtype == "float32" else 1e-10
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=slack, atol=slack)


def test_gradcheck_on_a_small_tree(rng):
    from monocap.geometry.kinematics_torch import forward_kinematics_torch

    local = torch.tensor(rng.normal(size=(2, 5, 3, 3)), requires_grad=True)
    rest = torch.tensor(rng.normal(size=(5, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: forward_kinematics_torch(a, b, (-1, 0, 0, 1, 2)), (local, rest))
    # only one of the two results used
    forward_kinematics_torch(local, rest, (-1, 0, 0, 1, 2))[1].sum().backward()
    assert torch.isfinite(local.grad).all()
