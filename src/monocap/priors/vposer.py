"""VPoser in numpy, with Jacobians: how likely a pose is, poses from codes, codes from poses (Pavlakos et al. 2019).

The networks themselves are drawn in `monocap.nets.vposer`; here are the same layers in evaluation mode (batch
normalisation folded into the linear layer after it, no dropout), so that capture and fits need no torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors
from monocap.errors import InputError
from monocap.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from monocap.priors.decoding import axis_angle_of_6d
from monocap.types import Array

LATENT = 32
POSE = 63
_BATCH_NORM_EPS = 1e-5  # torch's default, with which all of them were trained
_SLOPE = {"vposer-v1": 0.2, "vposer-v2": 0.01}
# Layers in order: (batch norm before, linear, LeakyReLU after).
_ENCODER = {
    "vposer-v1": (("bodyprior_enc_bn1", "bodyprior_enc_fc1", True), ("bodyprior_enc_bn2", "bodyprior_enc_fc2", True)),
    "vposer-v2": (
        ("encoder_net.1", "encoder_net.2", True),
        ("encoder_net.4", "encoder_net.6", False),
        (None, "encoder_net.7", False),
    ),
}
_HEADS = {
    "vposer-v1": ("bodyprior_enc_mu", "bodyprior_enc_logvar"),
    "vposer-v2": ("encoder_net.8.mu", "encoder_net.8.logvar"),
}
_DECODER = {
    "vposer-v1": ("bodyprior_dec_fc1", "bodyprior_dec_fc2", "bodyprior_dec_out"),
    "vposer-v2": ("decoder_net.0", "decoder_net.3", "decoder_net.5"),
}


@dataclass(frozen=True)
class _Linear:
    """y = f(W x + b), f a LeakyReLU of the given slope (1: none)."""

    weight: Array
    bias: Array
    slope: float

    def __call__(self, x: Array) -> Array:
        y = x @ self.weight.T + self.bias
        return y if self.slope == 1 else np.where(y > 0, y, self.slope * y)

    def with_jacobian(self, x: Array, jacobian: Array | None) -> tuple[Array, Array]:
        """Value (…,n) and derivative (…,n,m) with respect to what ``jacobian`` (…,k,m) of x refers to (None: x)."""
        y = x @ self.weight.T + self.bias
        slope = np.where(y > 0, 1.0, self.slope)
        if jacobian is None:
            return y * slope, slope[..., None] * self.weight
        # one large product instead of many small ones
        moved = np.swapaxes(np.swapaxes(jacobian, -1, -2) @ self.weight.T, -1, -2)
        return y * slope, slope[..., None] * moved


@dataclass(frozen=True, eq=False)
class VPoserPrior:
    """A trained VPoser. ``body_pose`` is (…,63), axis-angle radians of SMPL-X's 21 body joints; codes are (…,32)."""

    encoder: tuple[_Linear, ...]
    mean_head: _Linear
    deviation_head: _Linear
    decoder: tuple[_Linear, ...]

    @classmethod
    def load(cls, weights: str | os.PathLike[str] = "vposer") -> VPoserPrior:
        """The shipped weights (``"vposer"``) or a safetensors file from ``monocap train prior`` or ``weights convert``.

        Raises InputError for a file that holds no VPoser with 6D output, AssetError if the shipped one is damaged.
        """
        return _shipped() if str(weights) == "vposer" else cls.from_tensors(read_tensors(weights))

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> VPoserPrior:
        """From the tensors of a state dict with the released layer names. Raises InputError if they do not fit."""
        name = tensors.arch.get("name")
        if name not in _ENCODER or tensors.arch.get("output", "6d") != "6d":
            raise InputError(f"architecture {tensors.arch}; expected vposer-v1 or vposer-v2 with 6D output")
        arrays, slope = tensors.arrays, _SLOPE[name]
        try:
            encoder = tuple(
                _linear(arrays, linear, slope if bent else 1.0, norm) for norm, linear, bent in _ENCODER[name]
            )
            mean, deviation = (_linear(arrays, head, 1.0) for head in _HEADS[name])
            *hidden, last = _DECODER[name]
            decoder = *(_linear(arrays, layer, slope) for layer in hidden), _linear(arrays, last, 1.0)
        except KeyError as error:
            raise InputError(f"the weights of {name} lack {error}; is the file whole?") from error
        sizes = [encoder[0].weight.shape[1], mean.weight.shape[0], decoder[0].weight.shape[1], len(decoder[-1].bias)]
        if sizes != [POSE, LATENT, LATENT, 2 * POSE]:
            raise InputError(f"{name} with sizes {sizes}; expected {[POSE, LATENT, LATENT, 2 * POSE]}")
        return cls(encoder, mean, deviation, decoder)

    def encode(self, body_pose: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (…,32) of the code of ``body_pose``."""
        x = _checked("body_pose", body_pose, POSE)
        for layer in self.encoder:
            x = layer(x)
        return self.mean_head(x), np.logaddexp(0.0, self.deviation_head(x))

    def encode_with_jacobian(self, body_pose: Array) -> tuple[Array, Array]:
        """Mean code (…,32) and its derivative (…,32,63) by ``body_pose``."""
        x, jacobian = _checked("body_pose", body_pose, POSE), None
        for layer in (*self.encoder, self.mean_head):
            x, jacobian = layer.with_jacobian(x, jacobian)
        assert jacobian is not None
        return x, jacobian

    def decode(self, latent: Array) -> Array:
        """``body_pose`` (…,63) of codes (…,32); every joint's angle is in [0, π]."""
        x = _checked("latent", latent, LATENT)
        for layer in self.decoder:
            x = layer(x)
        angles, _ = axis_angle_of_6d(x.reshape(*x.shape[:-1], 21, 6), "interleaved_columns")
        return angles.reshape(*x.shape[:-1], POSE)

    def decode_with_jacobian(self, latent: Array) -> tuple[Array, Array]:
        """``body_pose`` (…,63) and its derivative (…,63,32) by the code."""
        code = _checked("latent", latent, LATENT)
        lead = code.shape[:-1]
        x, jacobian = self._decode_hidden(code.reshape(-1, LATENT))
        for layer in self.decoder[2:]:
            x, jacobian = layer.with_jacobian(x, jacobian)
        x, jacobian = x.reshape(*lead, -1), jacobian.reshape(*lead, -1, LATENT)
        angles, by_numbers = axis_angle_of_6d(x.reshape(*lead, 21, 6), "interleaved_columns")
        moved = by_numbers @ jacobian.reshape(*lead, 21, 6, LATENT)
        return angles.reshape(*lead, POSE), moved.reshape(*lead, POSE, LATENT)

    def _decode_hidden(self, code: Array) -> tuple[Array, Array]:
        """The decoder's two hidden layers (N,·) at codes (N,32), and their derivatives (N,·,32).

        W₂ D W₁ with D = 1 or the slope: W₂ W₁ is known, so that only the columns of the rarer kind are multiplied anew.
        """
        first, second = self.decoder[:2]
        together, across = self._together
        before = code @ first.weight.T + first.bias
        after = np.where(before > 0, before, first.slope * before) @ second.weight.T + second.bias
        jacobian = np.empty((*after.shape, LATENT))
        for n, active in enumerate(before > 0):
            few = 2 * np.count_nonzero(active) < len(active)
            chosen = np.flatnonzero(active if few else ~active)
            part = across[chosen].T @ first.weight[chosen]
            base, share = (first.slope, 1.0 - first.slope) if few else (1.0, first.slope - 1.0)
            np.add(base * together, share * part, out=jacobian[n])
        slope = np.where(after > 0, 1.0, second.slope)
        jacobian *= slope[..., None]
        return after * slope, jacobian

    @cached_property
    def _together(self) -> tuple[Array, Array]:
        """W₂ W₁ of the decoder, and W₂ with its columns laid out as rows."""
        first, second = self.decoder[:2]
        return second.weight @ first.weight, np.ascontiguousarray(second.weight.T)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """``body_pose`` (count,63) of codes from the standard normal distribution."""
        return self.decode(rng.standard_normal((count, LATENT)))

    def interpolate(self, start: Array, end: Array, count: int) -> Array:
        """``body_pose`` (count,63) along the straight line between the codes of two poses (63,), both included."""
        mean, _ = self.encode(np.stack([_checked("start", start, POSE), _checked("end", end, POSE)]))
        t = np.linspace(0.0, 1.0, count)[:, None]
        return self.decode((1 - t) * mean[0] + t * mean[1])

    def energy(self, body_pose: Array, angle: float = 0.1) -> Array:
        """How unlikely a pose is (…), up to a constant: ½‖code‖² + ½ Σ (angle to its reconstruction / ``angle``)².

        The negative evidence bound with the code at its mean and a Gaussian of ``angle`` rad per joint around what
        the decoder says: a pose that the code cannot express is as unlikely as one whose code is far out.
        """
        pose = _checked("body_pose", body_pose, POSE)
        mean, _ = self.encode(pose)
        lead = pose.shape[:-1]
        off = geodesic_angle(_matrices(pose, lead), _matrices(self.decode(mean), lead))
        return 0.5 * np.sum(mean**2, axis=-1) + 0.5 * np.sum((off / angle) ** 2, axis=-1)


@cache
def _shipped() -> VPoserPrior:
    return VPoserPrior.from_tensors(read_tensors(locate("vposer")))


def _matrices(pose: Array, lead: tuple[int, ...]) -> Array:
    return axis_angle_to_matrix(pose.reshape(*lead, 21, 3))


def _checked(name: str, value: Array, size: int) -> Array:
    value = np.asarray(value, dtype=np.float64)
    if value.ndim < 1 or value.shape[-1] != size:
        raise InputError(f"{name} has shape {value.shape}; expected (…,{size})")
    return value


def _linear(arrays: dict[str, Array], name: str, slope: float, norm: str | None = None) -> _Linear:
    weight = np.asarray(arrays[f"{name}.weight"], np.float64)
    bias = np.asarray(arrays[f"{name}.bias"], np.float64)
    if norm is not None:
        scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"].astype(np.float64) + _BATCH_NORM_EPS)
        shift = arrays[f"{norm}.bias"] - scale * arrays[f"{norm}.running_mean"]
        weight, bias = weight * scale, bias + weight @ shift
    return _Linear(weight, bias, slope)
