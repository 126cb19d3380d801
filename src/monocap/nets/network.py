"""What every network for pictures of people says of itself, and how a state dict is put into it exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.geometry.rotations import Layout6D
from monocap.nets.iterative import BodyOutput

Net = TypeVar("Net", bound=nn.Module)


class Network(nn.Module):
    """A network whose last answer is a `BodyOutput`, or another named tuple whose fields ``outputs`` names.

    ``crop``: the family of crops it was trained with (`monocap.data.crop_families`); ``layout`` of its 6D numbers, None
    for axis-angle; ``joints`` of its rotations; ``second_axis``: what the second axis of all inputs and outputs counts,
    if it is of any length. `monocap.nets.registry.build` adds ``arch``, from which it can be built again.
    """

    crop: ClassVar[str]
    layout: ClassVar[Layout6D | None] = "interleaved_columns"
    second_axis: ClassVar[str | None] = None
    outputs: ClassVar[tuple[str, ...]] = BodyOutput._fields
    joints: int = 24
    arch: dict[str, Any]

    def example(self, count: int) -> dict[str, Tensor]:
        """Inputs by name for ``count`` people, as `forward` takes them in order; numbers are random."""
        raise NotImplementedError

    def answer(self, *given: Tensor) -> BodyOutput:
        """The last stage's answer: what inference and exported graphs give."""
        return self(*given)[-1]

    def described(self) -> dict[str, str]:
        """What exported files say of it beside what is the same for all networks."""
        return {}

    def own_name(self, official: str) -> str | None:
        """The name here of an official checkpoint's tensor; None where it is not this network's business."""
        raise NotImplementedError

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Fill with a state dict of the official release, and switch to inference.

        Raises InputError where names are missing or unexpected, or shapes differ.
        """
        own: dict[str, Tensor] = {}
        for official, value in state.items():
            name = self.own_name(official.removeprefix("module."))
            if name is not None:
                own[name] = value
        fill(self, own)


def fill(net: Net, state: Mapping[str, Tensor], free: Collection[str] = ()) -> Net:
    """Load by name, exactly, and switch to inference; what batch normalisation only counts with, and ``free``, may be
    missing. Raises InputError, naming names or shapes, for a state that does not fit."""
    own = net.state_dict()
    spare = {name for name in own if name.endswith("num_batches_tracked") or name in free}
    missing, unexpected = set(own) - spare - set(state), set(state) - set(own)
    if missing or unexpected:
        raise InputError(
            f"{type(net).__name__}: missing {_some(missing) or 'nothing'}; unexpected {_some(unexpected) or 'nothing'}"
        )
    given = dict(state)
    for name, value in state.items():
        if value.shape == (1,) and own[name].shape == ():  # older files of ours hold single numbers as rows of one
            given[name] = value.reshape(())
        elif value.shape != own[name].shape:
            raise InputError(f"{name} has shape {tuple(value.shape)}; expected {tuple(own[name].shape)}")
    net.load_state_dict(given, strict=False)
    return net.eval()


def _some(names: Collection[str]) -> str:
    """Names in a line that stays readable."""
    first = sorted(names)[:4]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")


def random_image(count: int, height: int, width: int) -> Tensor:
    """(count,3,height,width) numbers as normalised pictures have them."""
    return torch.randn(count, 3, height, width)
