"""Names and shapes of the released SMPLer checkpoints in terms of ours."""

from __future__ import annotations

import re

from torch import Tensor

_LAYER = {
    "LayerNorm_attn": "norm",
    "attention.query": "attention.query",
    "attention.key": "attention.key",
    "attention.value": "attention.value",
    "linear_attn": "out",
    "mlp.0": "hidden_norm",
    "mlp.1": "up",
    "mlp.3": "down",
}
_BLOCK = {
    "joint_feat_projection_layer.0": "joint_feature",
    "trans_block.feat_position_embedding": "positions.0",
    "trans_block.early_embedding": "enter",
    "trans_block.position_embeddings": "token_position",
    "trans_block.head": "leave",
    "trans_block.residual": "residual",
    "theta_predictor": "pose",
    "beta_predictor": "shape",
    "cam_predictor": "cam",
}
_TOP = {
    "backbone": "encoder",
    "SMPL_predictor": "head.predictor",
    "init_query_layer_theta": "head.pose_token",
    "init_query_layer_beta": "head.shape_token",
    "init_query_layer_cam": "head.cam_token",
    "global_feat_projection": "head.global_token",
}
_UNIT = re.compile(r"trans_block\.trans_units\.(\d+)\.(global_unit|local_unit|self_trans_layer)\.(.*)")
_PROJECTION = re.compile(r"raw_feat_projection_layer\.(\d+)\.([01])\.(weight|bias)")
_BODY = "smpl_handler."


def own_name(official: str) -> str | None:
    """Our name of a released tensor; None for the licensed body's. What is unknown keeps its name."""
    if official.startswith(_BODY):
        return None
    top, _, rest = official.partition(".")
    if top in _TOP:
        return f"{_TOP[top]}.{rest}"
    block, _, inner = rest.partition(".")
    found = _block_name(inner) if top == "transformer" else None
    return official if found is None else f"head.blocks.{block}.{found}"


def _block_name(name: str) -> str | None:
    if match := _PROJECTION.fullmatch(name):
        scale, part, what = match.groups()
        return f"projections.{scale}.{('linear', 'norm')[int(part)]}.{what}"
    if match := _UNIT.fullmatch(name):
        unit, kind, inner = match.groups()
        found = _unit_name(kind, inner)
        return None if found is None else f"units.{unit}.{found}"
    return _renamed(name, _BLOCK)


def _unit_name(kind: str, name: str) -> str | None:
    if kind == "local_unit" and name == "relative_position_encoding_table.0":
        return "bias_table"
    before, _, inner = name.partition("self_trans_layer." if kind == "self_trans_layer" else ".transformer_layer.")
    layer = _renamed(inner, _LAYER)
    if layer is None:
        return None
    if kind == "self_trans_layer":
        return f"self_layer.{layer}"
    number = before.removeprefix("trans_layer_list.")
    return f"global_layers.{number}.{layer}" if kind == "global_unit" else f"local_layer.{layer}"


def _renamed(name: str, table: dict[str, str]) -> str | None:
    """``name`` with its beginning exchanged: the whole of it, or up to its last part."""
    stem, _, last = name.rpartition(".")
    if name in table:
        return table[name]
    return f"{table[stem]}.{last}" if stem in table else None


def own_value(name: str, value: Tensor) -> Tensor:
    """A released tensor in our shape: projections are 1×1 convolutions there, linear layers here."""
    if ".projections." in name and value.ndim == 4 and value.shape[2:] == (1, 1):
        return value[:, :, 0, 0]
    return value
