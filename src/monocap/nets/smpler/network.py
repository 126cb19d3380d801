"""SMPLer from pixels: HRNet, whose four resolutions its head reads, and the first stage it is trained from.

::

    crop (N,3,224,224) → HRNet → 56² 28² 14² 7² ─┬─ mean → regressor (ReLU) → first estimate
                                                 └─ three blocks, each a correction
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from monocap.bodies import load_body
from monocap.errors import InputError
from monocap.nets.backbones.hrnet import HRNet
from monocap.nets.iterative import BodyOutput
from monocap.nets.network import Network, fill, random_image
from monocap.nets.smpler.config import OWN, SMPLER_W32, SMPLER_W48, SmplerConfig
from monocap.nets.smpler.head import Predictor, SmplerHead
from monocap.nets.smpler.joints import WeakJoints
from monocap.nets.smpler.looks import Looks
from monocap.nets.smpler.official import own_name, own_value

Size = Literal["w32", "w48"]
_SIZES: dict[str, SmplerConfig] = {"w32": SMPLER_W32, "w48": SMPLER_W48}
SIDE = 224


def configured(size: Size, own: bool, changes: Mapping[str, Any]) -> SmplerConfig:
    """The configuration of a size, with what `OWN` and then ``changes`` alter. Raises InputError for unknown ones."""
    if size not in _SIZES:
        raise InputError(f"SMPLer of size {size!r}; expected {' or '.join(_SIZES)}")
    known = {field.name for field in fields(SmplerConfig)}
    if unknown := sorted(set(changes) - known):
        raise InputError(f"SMPLer has no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    return replace(_SIZES[size], **{**(OWN if own else {}), **listed})


class _HrnetNetwork(Network):
    """What both stages share: crops, HRNet, released names."""

    crop = "smpler"

    def __init__(self, config: SmplerConfig, checkpointing: bool) -> None:
        super().__init__()
        self.config = config
        self.joints = config.joints
        self.encoder = HRNet(config.channels[0], checkpointing)

    def example(self, count: int) -> dict[str, Tensor]:
        given = {"image": random_image(count, SIDE, SIDE)}
        return {**given, "box_info": torch.randn(count, 3)} if self.config.box_info else given

    def own_name(self, official: str) -> str | None:
        return own_name(official)

    def _converted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = {official: self.own_name(official.removeprefix("module.")) for official in state}
        return {name: own_value(name, state[official]) for official, name in names.items() if name is not None}


class SmplerStage1(_HrnetNetwork):
    """Backbone and first estimate, which upstream trains alone before SMPLer."""

    def __init__(self, size: Size = "w32", own: bool = False, checkpointing: bool = False, **changes: Any) -> None:
        super().__init__(configured(size, own, changes), checkpointing)
        self.head = nn.ModuleDict({"predictor": Predictor(self.config)})

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        fill(self, self._converted(state))

    def forward(self, image: Tensor, box_info: Tensor | None = None) -> list[BodyOutput]:
        """A body per iteration."""
        return self.head["predictor"](self.encoder(image)[-1].mean((2, 3)), box_info)


class Smpler(_HrnetNetwork):
    """SMPLer (W32: 37,355,950 parameters, W48: 73,615,150).

    ``own``: our better defaults (`OWN`) instead of the published network; any field of `SmplerConfig` may be given by
    name, the ablations among them.
    """

    def __init__(self, size: Size = "w32", own: bool = False, checkpointing: bool = False, **changes: Any) -> None:
        super().__init__(configured(size, own, changes), checkpointing)
        if self.joints not in (22, 24):
            raise InputError(f"SMPLer with {self.joints} joints; expected 24 (SMPL) or 22 (without hands)")
        body = WeakJoints.smpl() if self.joints == 24 else WeakJoints.of(load_body("open"), self.joints)
        self.head = SmplerHead(self.config, body)

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """As `Network.load_official`; joints lie where the body in the file (``smpl_handler.smpl``) has them."""
        fill(self, {**self._joints(state), **self._converted(state)})

    def load_stage1(self, state: Mapping[str, Tensor]) -> None:
        """Backbone and first estimate from a `SmplerStage1`'s own state dict; the blocks stay as they are."""
        own = self.state_dict()
        if unknown := [name for name in state if name not in own]:
            raise InputError(f"not SMPLer's first stage: {', '.join(unknown[:4])} are unexpected")
        training = self.training
        fill(self, {**own, **state})
        self.train(training)

    def _joints(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix, joints = "smpl_handler.smpl.", self.head.joints2d
        assert isinstance(joints, WeakJoints)
        plain = {name.removeprefix("module."): value for name, value in state.items()}
        joints.settle({name.removeprefix(prefix): v for name, v in plain.items() if name.startswith(prefix)})
        return {f"head.joints2d.{name}": value for name, value in joints.state_dict().items()}

    def forward(self, image: Tensor, box_info: Tensor | None = None) -> list[BodyOutput]:
        """The first estimate, then one body per block. ``image`` (N,3,224,224), ``box_info`` (N,3) where configured."""
        return self.head(self.encoder(image), None, box_info)

    def attention(self, image: Tensor, box_info: Tensor | None = None) -> tuple[list[BodyOutput], list[Looks]]:
        """As `forward`, and where tokens looked in every block."""
        return self.head.stages(self.encoder(image), None, box_info, look=True)
