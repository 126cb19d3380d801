"""The whole head against a literal rendering of its description: one joint, one map, one head at a time.

The literal version works on a checkpoint's own names, projects every pixel to keys and values, samples with torch's
sampler and knows nothing of the network's code: so it judges the arithmetic and the names' mapping together.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from monocap.geometry.kinematics import forward_kinematics  # noqa: E402
from monocap.nets.network import fill  # noqa: E402
from monocap.nets.smpler import SMPLER_W32, SmplerHead, WeakJoints  # noqa: E402
from monocap.nets.smpler.joints import SMPL_PARENTS  # noqa: E402
from monocap.nets.smpler.official import own_name, own_value  # noqa: E402

HEADS, DEPTH, SIDE, RADIUS = 4, 32, 56, 4


class Literal:
    """SMPLer after its backbone. ``state`` by released names; ``rest`` (24,3), ``directions`` (24,3,10)."""

    def __init__(self, state: dict[str, Any], rest: Any, directions: Any) -> None:
        self.state, self.rest, self.directions = state, rest, directions

    def linear(self, name: str, x: Any) -> Any:
        return functional.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def norm(self, name: str, x: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"], 1e-12)

    @staticmethod
    def rotation(numbers: Any) -> Any:
        """Columns (x0, x2, x4) and (x1, x3, x5), made orthonormal."""
        a, b = numbers[..., [0, 2, 4]], numbers[..., [1, 3, 5]]
        a = a / a.norm(dim=-1, keepdim=True)
        b = b - (a * b).sum(-1, keepdim=True) * a
        b = b / b.norm(dim=-1, keepdim=True)
        return torch.stack([a, b, torch.cross(a, b, dim=-1)], dim=-1)

    def predict(self, g: Any) -> tuple[Any, Any, Any]:
        state = [self.state[f"SMPL_predictor.init_{part}"].expand(len(g), -1) for part in ("pose", "shape", "cam")]
        for _ in range(3):
            h = torch.relu(self.linear("SMPL_predictor.fc1", torch.cat([g, *state], dim=1)))
            h = torch.relu(self.linear("SMPL_predictor.fc2", h))
            heads = ("decpose", "decshape", "deccam")
            state = [x + self.linear(f"SMPL_predictor.{head}", h) for x, head in zip(state, heads, strict=True)]
        return self.rotation(state[0].reshape(-1, 24, 6)), state[1], state[2]

    def layer(self, name: str, tokens: Any, features: Any = None, bias: Any = None) -> Any:
        """Pre-norm transformer layer over (T,d) tokens and (M,d) features; ``bias`` (heads,T,M)."""
        normed = self.norm(f"{name}.LayerNorm_attn", tokens)
        features = normed if features is None else features
        query, key, value = (
            self.linear(f"{name}.attention.{what}", x)
            for what, x in (("query", normed), ("key", features), ("value", features))
        )
        results = []
        for head in range(HEADS):
            part = slice(head * DEPTH, (head + 1) * DEPTH)
            logits = query[:, part] @ key[:, part].T / DEPTH**0.5
            logits = logits if bias is None else logits + bias[head]
            results.append(torch.softmax(logits, dim=-1) @ value[:, part])
        tokens = tokens + self.linear(f"{name}.linear_attn", torch.cat(results, dim=-1))
        h = functional.gelu(self.linear(f"{name}.mlp.1", self.norm(f"{name}.mlp.0", tokens)))
        return tokens + self.linear(f"{name}.mlp.3", h)

    def near(self, name: str, token: Any, image: Any, table: Any, point: Any) -> Any:
        """A joint's token (1,d) after its window of ``image`` (d,56,56)."""
        pixel = (point + 1) / 2 * (SIDE - 1)
        found, places = [], []
        for dx in range(-3, 5):
            for dy in range(-3, 5):
                x, y = ((pixel[k].floor() + d).clamp(0, SIDE - 1) for k, d in ((0, dx), (1, dy)))
                found.append(image[:, int(y), int(x)])
                places.append((torch.stack([x, y]) - pixel) / RADIUS)
        bias = functional.grid_sample(table, torch.stack(places)[None, None], align_corners=True)  # (1,heads,1,64)
        return self.layer(name, token, torch.stack(found), bias[0])

    def block(self, b: int, query: Any, maps: list[Any], points: Any) -> Any:
        """Queries (26,d) of one sample; ``maps`` (C,h,h); ``points`` (24,2)."""
        top = f"transformer.{b}"
        images = []
        for k, image in enumerate(maps):
            flat = functional.conv2d(
                image[None], *(self.state[f"{top}.raw_feat_projection_layer.{k}.0.{p}"] for p in ("weight", "bias"))
            )
            normed = self.norm(f"{top}.raw_feat_projection_layer.{k}.1", flat[0].permute(1, 2, 0))
            images.append(normed.permute(2, 0, 1))
        at = functional.grid_sample(images[0][None], points[None, None], align_corners=True)[0, :, 0].T  # (24,d)
        at = self.linear(f"{top}.joint_feat_projection_layer.0", at)
        query = query + torch.cat([at, at.mean(0, keepdim=True), at.mean(0, keepdim=True)])
        trans = f"{top}.trans_block"
        x = self.linear(f"{trans}.early_embedding", query) + self.state[f"{trans}.position_embeddings.weight"]
        embedding = self.state[f"{trans}.feat_position_embedding"]
        placed = []
        for image in images:
            placed.append((image + embedding[0]).flatten(1).T)
            embedding = functional.avg_pool2d(embedding, 2)
        for u in range(2):
            unit = f"{trans}.trans_units.{u}"
            layers = f"{unit}.global_unit.trans_layer_list"
            seen = [self.layer(f"{layers}.{k}.transformer_layer", x, f) for k, f in enumerate(placed)]
            far = torch.stack(seen).mean(0)
            table = self.state[f"{unit}.local_unit.relative_position_encoding_table.0"]
            layer = f"{unit}.local_unit.trans_layer_list.0.transformer_layer"
            near = [self.near(layer, x[j : j + 1], images[0], table, points[j]) for j in range(24)]
            x = torch.cat([(far[:24] + torch.cat(near)) / 2, far[24:]])
            x = self.layer(f"{unit}.self_trans_layer.self_trans_layer", x)
        return self.linear(f"{trans}.head", x) + self.linear(f"{trans}.residual", query)

    def points(self, rotmats: Any, betas: Any, cam: Any) -> Any:
        rest = self.rest + torch.einsum("jcb,nb->njc", self.directions, betas)
        joints = forward_kinematics(rotmats, rest, SMPL_PARENTS)[1]
        return cam[:, None, :1] * (joints[..., :2] + cam[:, None, 1:])

    def __call__(self, maps: list[Any]) -> list[tuple[Any, Any, Any]]:
        g = maps[-1].mean((2, 3))
        rotmats, betas, cam = self.predict(g)
        parts = [self.linear("init_query_layer_theta", rotmats.reshape(len(g), 24, 9))]
        parts += [self.linear(f"init_query_layer_{n}", x)[:, None] for n, x in (("beta", betas), ("cam", cam))]
        query = torch.cat(parts, dim=1) + self.linear("global_feat_projection", g)[:, None]
        stages = [(rotmats, betas, cam)]
        for b in range(3):
            points = self.points(rotmats, betas, cam)
            query = torch.stack([self.block(b, query[n], [m[n] for m in maps], points[n]) for n in range(len(g))])
            turn = self.rotation(self.linear(f"transformer.{b}.theta_predictor", query[:, :24]))
            rotmats = rotmats @ turn
            betas = betas + self.linear(f"transformer.{b}.beta_predictor", query[:, 24])
            cam = cam + self.linear(f"transformer.{b}.cam_predictor", query[:, 25])
            stages.append((rotmats, betas, cam))
        return stages


@pytest.mark.slow
def test_head_is_what_its_description_says(shared):
    generator = torch.Generator().manual_seed(3)
    tensors = json.loads(shared("reference/checkpoint_keys/smpler_w32.json").read_text())["tensors"]
    state = {}
    for name, what in tensors.items():
        if name.startswith(("backbone.", "smpl_handler.")):
            continue
        shape = what["shape"]
        fan = 1 if "table" in name or len(shape) == 1 else int(torch.tensor(shape[1:]).prod())
        state[name] = torch.randn(shape, generator=generator, dtype=torch.float64) * fan**-0.5
        if re.search(r"(LayerNorm_attn|mlp\.0|projection_layer\.\d\.1)\.weight", name):
            state[name] = 1 + 0.2 * state[name]
        if re.search(r"predictor\.|dec(pose|shape|cam)", name):
            state[name] = 0.1 * state[name]  # corrections, so that joints stay about the picture
    state["SMPL_predictor.init_cam"] = torch.tensor([[0.9, 0.0, 0.0]], dtype=torch.float64)
    rest = 0.3 * torch.randn(24, 3, generator=generator, dtype=torch.float64)
    directions = 0.02 * torch.randn(24, 3, 10, generator=generator, dtype=torch.float64)

    head: Any = SmplerHead(SMPLER_W32, WeakJoints(rest, directions, SMPL_PARENTS)).double()
    head.joints2d.rest.copy_(rest)
    head.joints2d.directions.copy_(directions)
    own = {own_name(official): value for official, value in state.items()}
    named = {name.removeprefix("head."): own_value(name, value) for name, value in own.items() if name is not None}
    fill(head, named, free=("joints2d.rest", "joints2d.directions"))

    maps = [
        torch.randn(2, c, s, s, generator=generator, dtype=torch.float64)
        for c, s in zip(SMPLER_W32.channels, SMPLER_W32.sizes, strict=True)
    ]
    literal = Literal(state, rest, directions)
    with torch.no_grad():
        wanted, made = literal(maps), head(maps)
    points = torch.cat([literal.points(*stage).abs().amax(-1) for stage in wanted])
    assert 0.2 < float((points < 1).double().mean()) < 1  # inside, and some outside
    assert len(wanted) == len(made) == 4
    for number, (theirs, ours) in enumerate(zip(wanted, made, strict=True)):
        for a, b in zip(theirs, ours, strict=True):
            torch.testing.assert_close(b, a, atol=1e-9, rtol=1e-9, msg=lambda m, n=number: f"stage {n}: {m}")
    steps = [float((a.rotmats - b.rotmats).abs().amax()) for a, b in itertools.pairwise(made)]
    assert min(steps) > 0.01
