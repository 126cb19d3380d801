"""HMR (Kanazawa et al., CVPR 2018) and SPIN (Kolotouros et al., ICCV 2019): ResNet-50, pooled, iterative regressor.

SPIN is HMR's network with version 1 of the backbone, 6D rotations and no activation in the regressor; its checkpoint
holds the backbone's layers and the regressor's side by side.
"""

from __future__ import annotations

from torch import Tensor

from monocap.nets.backbones.resnet import ResNetV2, resnet50
from monocap.nets.iterative import BodyOutput, IterativeRegressor
from monocap.nets.network import Network, random_image

REGRESSOR = ("fc1.", "fc2.", "decpose.", "decshape.", "deccam.", "init_")
FEATURES = 2048


class Hmr(Network):
    """As the paper's TensorFlow program: pre-activation ResNet-50, ReLU, axis-angle, a mean that is learned too.

    Pictures (N,3,224,224) in −1…1. ``joints`` 24 or 22. No weights of this form were released for torch.
    """

    crop = "hmr"
    layout = None

    def __init__(self, joints: int = 24, checkpointing: bool = False) -> None:
        super().__init__()
        self.joints = joints
        self.encoder = ResNetV2(checkpointing)
        self.regressor = IterativeRegressor(
            FEATURES, joints, layout="axis_angle", relu=True, gain=0.1, trainable_mean=True
        )

    def example(self, count: int) -> dict[str, Tensor]:
        return {"image": random_image(count, 224, 224)}

    def own_name(self, official: str) -> str | None:
        return official  # its own names: the released weights are TensorFlow's

    def forward(self, image: Tensor) -> list[BodyOutput]:
        """A body per iteration."""
        return self.regressor(self.encoder(image)[-1].mean((2, 3)))


class Spin(Network):
    """SPIN's network: 26,977,501 parameters. ``relu`` puts HMR's activation back, for our own training; released
    weights must have it off. ``gain`` of the decoders' start."""

    crop = "spin"

    def __init__(
        self,
        joints: int = 24,
        relu: bool = False,
        gain: float = 0.01,
        dropout: float = 0.5,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.joints = joints
        self.encoder = resnet50(checkpointing)
        self.regressor = IterativeRegressor(FEATURES, joints, relu=relu, gain=gain, dropout=dropout)

    def example(self, count: int) -> dict[str, Tensor]:
        return {"image": random_image(count, 224, 224)}

    def own_name(self, official: str) -> str | None:
        if official.startswith("smpl."):  # the licensed body, in VIBE's copy of the file
            return None
        return f"regressor.{official}" if official.startswith(REGRESSOR) else f"encoder.{official}"

    def features(self, image: Tensor) -> Tensor:
        """(N,2048) of pictures (N,3,224,224): what VIBE reads."""
        return self.encoder(image)[-1].mean((2, 3))

    def forward(self, image: Tensor) -> list[BodyOutput]:
        """A body per iteration."""
        return self.regressor(self.features(image))
