"""VPoser: a variational autoencoder of body poses (Pavlakos et al., SMPL-X, CVPR 2019), released versions 1 and 2.

::

    body_pose (63 axis-angle) → encoder → mean, deviation (32) → z → decoder → 21 × 6D → rotations

Both releases have the same shape; version 1 has a LeakyReLU 0.2 after every hidden layer, version 2 slope 0.01, one
more linear layer in the encoder and none between its last two. ``output="matrix"`` is the paper's own decoder, which
predicts nine free numbers per joint. Layer names are those of the released state dicts.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.errors import InputError
from monocap.geometry.rotations import matrix_to_axis_angle, project_to_so3
from monocap.nets.iterative import whole_rotations

JOINTS = 21
LATENT = 32
HIDDEN = 512
Output = Literal["6d", "matrix"]


class VPoserOutput(NamedTuple):
    """``mean, deviation, latent`` (N,32) and ``rotations`` (N,21,3,3) (free matrices if the output is "matrix")."""

    mean: Tensor
    deviation: Tensor
    latent: Tensor
    rotations: Tensor


class VPoser(nn.Module):
    """What both versions share. ``body_pose`` is (N,63), axis-angle of SMPL-X's 21 body joints, radians."""

    release: str

    def __init__(self, output: Output = "6d") -> None:
        super().__init__()
        if output not in ("6d", "matrix"):
            raise InputError(f"output {output!r}; expected '6d' or 'matrix'")
        self.output: Output = output

    def _moments(self, body_pose: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _numbers(self, latent: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def config(self) -> dict[str, Any]:
        """What `build_vposer` needs to make this network again."""
        return {"name": self.release, "output": self.output}

    def encode(self, body_pose: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N,32) of the latent code; the deviation is a softplus, not an exponential."""
        return self._moments(body_pose.reshape(-1, 3 * JOINTS))

    def decode_rotations(self, latent: Tensor) -> Tensor:
        """Rotations (N,21,3,3) of codes (N,32); with ``output="matrix"`` nine free numbers each, not yet rotations."""
        numbers = self._numbers(latent)
        if self.output == "matrix":
            return numbers.reshape(-1, JOINTS, 3, 3)
        return whole_rotations(numbers, "interleaved_columns")

    def decode(self, latent: Tensor) -> Tensor:
        """``body_pose`` (N,63) of codes (N,32)."""
        rotations = self.decode_rotations(latent)
        if self.output == "matrix":
            rotations = project_to_so3(rotations)
        return matrix_to_axis_angle(rotations).reshape(-1, 3 * JOINTS)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``body_pose`` (count,63) of codes drawn from the standard normal distribution."""
        like = next(self.parameters())
        return self.decode(torch.randn(count, LATENT, generator=generator, dtype=like.dtype, device=like.device))

    def interpolate(self, start: Tensor, end: Tensor, count: int) -> Tensor:
        """``body_pose`` (count,63) on the straight line between the codes of two poses (63,), both ends included."""
        mean, _ = self.encode(torch.stack([start.reshape(-1), end.reshape(-1)]))
        t = torch.linspace(0, 1, count, dtype=mean.dtype, device=mean.device)[:, None]
        return self.decode((1 - t) * mean[0] + t * mean[1])

    def forward(self, body_pose: Tensor) -> VPoserOutput:
        """Encode, draw one code per pose (in training; the mean otherwise), decode."""
        mean, deviation = self.encode(body_pose)
        latent = mean + deviation * torch.randn_like(mean) if self.training else mean
        return VPoserOutput(mean, deviation, latent, self.decode_rotations(latent))


class VPoserV1(VPoser):
    """As in ``vposer_v1_0``, which SMPLify-X uses: 673,596 parameters."""

    release = "vposer-v1"

    def __init__(self, output: Output = "6d") -> None:
        super().__init__(output)
        self.bodyprior_enc_bn1 = nn.BatchNorm1d(3 * JOINTS)
        self.bodyprior_enc_fc1 = nn.Linear(3 * JOINTS, HIDDEN)
        self.bodyprior_enc_bn2 = nn.BatchNorm1d(HIDDEN)
        self.bodyprior_enc_fc2 = nn.Linear(HIDDEN, HIDDEN)
        self.bodyprior_enc_mu = nn.Linear(HIDDEN, LATENT)
        self.bodyprior_enc_logvar = nn.Linear(HIDDEN, LATENT)
        self.dropout = nn.Dropout(0.1)
        self.bodyprior_dec_fc1 = nn.Linear(LATENT, HIDDEN)
        self.bodyprior_dec_fc2 = nn.Linear(HIDDEN, HIDDEN)
        self.bodyprior_dec_out = nn.Linear(HIDDEN, JOINTS * (6 if output == "6d" else 9))

    def _moments(self, body_pose: Tensor) -> tuple[Tensor, Tensor]:
        x = self.bodyprior_enc_bn1(body_pose)
        x = functional.leaky_relu(self.bodyprior_enc_fc1(x), 0.2)
        x = self.dropout(self.bodyprior_enc_bn2(x))
        x = functional.leaky_relu(self.bodyprior_enc_fc2(x), 0.2)
        return self.bodyprior_enc_mu(x), functional.softplus(self.bodyprior_enc_logvar(x))

    def _numbers(self, latent: Tensor) -> Tensor:
        x = self.dropout(functional.leaky_relu(self.bodyprior_dec_fc1(latent), 0.2))
        x = functional.leaky_relu(self.bodyprior_dec_fc2(x), 0.2)
        return self.bodyprior_dec_out(x)


class _Moments(nn.Module):
    """The two heads of version 2's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Linear(HIDDEN, LATENT)
        self.logvar = nn.Linear(HIDDEN, LATENT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu(x), functional.softplus(self.logvar(x))


class VPoserV2(VPoser):
    """As in ``V02_05`` of human_body_prior: 936,252 parameters, 344,190 of them in the decoder."""

    release = "vposer-v2"

    def __init__(self, output: Output = "6d") -> None:
        super().__init__(output)
        self.encoder_net = nn.Sequential(
            nn.Flatten(),
            nn.BatchNorm1d(3 * JOINTS),
            nn.Linear(3 * JOINTS, HIDDEN),
            nn.LeakyReLU(0.01),
            nn.BatchNorm1d(HIDDEN),
            nn.Dropout(0.1),
            nn.Linear(HIDDEN, HIDDEN),
            nn.Linear(HIDDEN, HIDDEN),
            _Moments(),
        )
        self.decoder_net = nn.Sequential(
            nn.Linear(LATENT, HIDDEN),
            nn.LeakyReLU(0.01),
            nn.Dropout(0.1),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.01),
            nn.Linear(HIDDEN, JOINTS * (6 if output == "6d" else 9)),
        )

    def _moments(self, body_pose: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder_net(body_pose)

    def _numbers(self, latent: Tensor) -> Tensor:
        return self.decoder_net(latent)


def build_vposer(name: str, output: Output = "6d") -> VPoser:
    """``"vposer-v1"`` or ``"vposer-v2"`` with fresh weights. Raises InputError for another name."""
    kinds: dict[str, type[VPoserV1] | type[VPoserV2]] = {kind.release: kind for kind in (VPoserV1, VPoserV2)}
    if name not in kinds:
        raise InputError(f"no VPoser called {name!r}; there are {', '.join(kinds)}")
    return kinds[name](output)
