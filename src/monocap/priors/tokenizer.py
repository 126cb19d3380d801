"""The pose tokenizer in numpy: poses to tokens and back, with the derivative of decoding (Dwivedi et al. 2024).

The network itself is drawn in `monocap.nets.pose_tokenizer`; here are the same layers as plain arrays, with the axis
of channels last, and an adjoint (reverse-mode derivative) written out for the decoder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from monocap.assets.manifest import locate
from monocap.assets.tensors import Tensors, read_tensors
from monocap.errors import InputError
from monocap.geometry.rotations import (
    axis_angle_to_matrix,
    geodesic_angle,
    matrix_to_axis_angle,
    matrix_to_rotation_6d,
    rotation_6d_to_matrix,
)
from monocap.priors.decoding import axis_angle_of_6d
from monocap.types import Array

ARCH = "pose-tokenizer"
JOINTS = 21
_PORTION = 128  # poses whose activations are held at once
Pullback = Callable[[Array], Array]


@dataclass(frozen=True)
class _Convolution:
    """Over the last axis but one of (N,L,C); ``taps`` (k,C_in,C_out)."""

    taps: Array
    bias: Array
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        padded = np.pad(x, ((0, 0), (self.padding, self.padding), (0, 0)))
        count = (padded.shape[1] - self.dilation * (len(self.taps) - 1) - 1) // self.stride + 1
        windows = [self._window(k, count) for k in range(len(self.taps))]
        y = np.broadcast_to(self.bias, (len(x), count, len(self.bias))).copy()
        for window, tap in zip(windows, self.taps, strict=True):
            y += padded[:, window] @ tap

        def pullback(grad: Array) -> Array:
            back = np.zeros_like(padded)
            for window, tap in zip(windows, self.taps, strict=True):
                back[:, window] += grad @ tap.T
            return back[:, self.padding : padded.shape[1] - self.padding]

        return y, pullback

    def _window(self, k: int, count: int) -> slice:
        start = k * self.dilation
        return slice(start, start + (count - 1) * self.stride + 1, self.stride)


@dataclass(frozen=True)
class _Resize:
    """Nearest resizing to ``length``, by torch's rule (a single-precision scale, rounded down)."""

    length: int

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        rows = nearest_rows(x.shape[1], self.length)

        def pullback(grad: Array) -> Array:
            starts = np.flatnonzero(np.diff(rows, prepend=-1))  # rows never fall, so each one's targets are adjacent
            back = np.zeros_like(x)
            back[:, rows[starts]] = np.add.reduceat(grad, starts, axis=1)
            return back

        return x[:, rows], pullback


def nearest_rows(size: int, length: int) -> Array:
    """(length,) the row of ``size`` rows that nearest resizing takes for each of ``length``."""
    scale = np.float32(size) / np.float32(length)
    return np.minimum(np.floor(np.arange(length, dtype=np.float32) * scale).astype(np.int64), size - 1)


def _relu(x: Array) -> tuple[Array, Pullback]:
    return np.maximum(x, 0.0), lambda grad: grad * (x > 0)


@dataclass(frozen=True)
class _Residual:
    """x + conv2(relu(conv1(relu(x))))."""

    conv1: _Convolution
    conv2: _Convolution

    def __call__(self, x: Array) -> tuple[Array, Pullback]:
        y, pullback = _chain((_relu, self.conv1, _relu, self.conv2), x)
        return x + y, lambda grad: grad + pullback(grad)


_Layer = Callable[[Array], tuple[Array, Pullback]]


def _chain(layers: tuple[_Layer, ...], x: Array) -> tuple[Array, Pullback]:
    backs = []
    for layer in layers:
        x, back = layer(x)
        backs.append(back)

    def pullback(grad: Array) -> Array:
        for back in reversed(backs):
            grad = back(grad)
        return grad

    return x, pullback


def _run(layers: tuple[_Layer, ...], x: Array) -> Array:
    """The value alone, in portions: what the derivative would need is not kept."""
    done = []
    for start in range(0, max(len(x), 1), _PORTION):
        y = x[start : start + _PORTION]
        for layer in layers:
            y, _ = layer(y)
        done.append(y)
    return np.concatenate(done)


@dataclass(frozen=True, eq=False)
class TokenizerPrior:
    """A trained tokenizer. ``body_pose`` is (…,63), axis-angle radians of SMPL-X's 21 body joints; a pose has
    ``tokens`` tokens, each one of K codes; ``codebook`` (K,D)."""

    encoder: tuple[_Layer, ...]
    decoder: tuple[_Layer, ...]
    codebook: Array
    tokens: int

    @classmethod
    def load(cls, weights: str | os.PathLike[str] = "tokenizer") -> TokenizerPrior:
        """The shipped weights (``"tokenizer"``) or a safetensors file from ``monocap train prior`` or ``weights
        convert``. Raises InputError for a file that holds none, AssetError if the shipped one is damaged."""
        return _shipped() if str(weights) == "tokenizer" else cls.from_tensors(read_tensors(weights, ARCH))

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> TokenizerPrior:
        """From the tensors of a state dict with the official layer names. Raises InputError if they do not fit."""
        arch, arrays = tensors.arch, {k: np.asarray(v, np.float64) for k, v in tensors.arrays.items()}
        try:
            tokens = 20 * 2 ** (arch["size_mul"] - 1)
            stack = arch["depth"], arch["dilation_rate"]
            codebook = arrays["quantizer.codebook"]
            return cls(_encoder(arrays, arch["size_mul"], stack), _decoder(arrays, tokens, arch["size_div"], stack),
                       codebook, tokens)  # fmt: skip
        except KeyError as error:
            raise InputError(f"the weights of a {ARCH} lack {error}; is the file whole?") from error

    def latents(self, body_pose: Array) -> Array:
        """What the encoder says before quantisation, (…,tokens,D)."""
        pose = _checked(body_pose)
        numbers = matrix_to_rotation_6d(axis_angle_to_matrix(pose.reshape(-1, JOINTS, 3)), "contiguous_rows")
        out = _run(self.encoder, numbers)
        return out.reshape(*pose.shape[:-1], *out.shape[1:])

    def encode(self, body_pose: Array) -> Array:
        """Tokens (…,tokens) int64: the code nearest to each latent."""
        latents = self.latents(body_pose)
        distance = np.sum(self.codebook**2, axis=1) - 2 * latents @ self.codebook.T
        return np.argmin(distance, axis=-1)

    def decode(self, tokens: Array) -> Array:
        """``body_pose`` (…,63) of tokens (…,tokens). Raises InputError for numbers that are no codes."""
        tokens = np.asarray(tokens)
        fits = tokens.ndim and tokens.shape[-1] == self.tokens and np.issubdtype(tokens.dtype, np.integer)
        if not fits or (tokens.size and not 0 <= tokens.min() <= tokens.max() < len(self.codebook)):
            raise InputError(
                f"tokens of shape {tokens.shape} and dtype {tokens.dtype}; expected (…,{self.tokens}) integers in "
                f"0…{len(self.codebook) - 1}"
            )
        return self.decode_latents(self.codebook[tokens])

    def decode_soft(self, probabilities: Array) -> Array:
        """``body_pose`` (…,63) of a distribution over codes for every token, (…,tokens,K)."""
        probabilities = np.asarray(probabilities, np.float64)
        if probabilities.shape[-2:] != (self.tokens, len(self.codebook)):
            raise InputError(
                f"probabilities of shape {probabilities.shape}; expected (…,{self.tokens},{len(self.codebook)})"
            )
        return self.decode_latents(probabilities @ self.codebook)

    def decode_latents(self, latents: Array) -> Array:
        """``body_pose`` (…,63) of latents or codes (…,tokens,D)."""
        flat, lead = self._flat(latents)
        numbers = _run(self.decoder, flat)
        angles = matrix_to_axis_angle(rotation_6d_to_matrix(numbers, "contiguous_rows"))
        return angles.reshape(*lead, 3 * JOINTS)

    def decode_with_pullback(self, latents: Array) -> tuple[Array, Pullback]:
        """``body_pose`` (…,63) and the function that turns a gradient (…,63) by it into one by the latents."""
        flat, lead = self._flat(latents)
        numbers, back = _chain(self.decoder, flat)
        angles, by_numbers = axis_angle_of_6d(numbers, "contiguous_rows")

        def pullback(grad: Array) -> Array:
            turned = np.asarray(grad, np.float64).reshape(-1, JOINTS, 1, 3) @ by_numbers
            return back(turned[:, :, 0]).reshape(*lead, *flat.shape[1:])

        return angles.reshape(*lead, 3 * JOINTS), pullback

    def decode_with_jacobian(self, latents: Array) -> tuple[Array, Array]:
        """``body_pose`` (…,63) and its derivative (…,63,tokens,D) by the latents: 63 pullbacks at once."""
        flat, lead = self._flat(latents)
        repeated = np.repeat(flat, 3 * JOINTS, axis=0)
        pose, pullback = self.decode_with_pullback(repeated)
        jacobian = pullback(np.tile(np.eye(3 * JOINTS), (len(flat), 1)))
        return pose[:: 3 * JOINTS].reshape(*lead, 3 * JOINTS), jacobian.reshape(*lead, 3 * JOINTS, *flat.shape[1:])

    def energy(self, body_pose: Array, angle: float = 0.1) -> Array:
        """How unlikely a pose is (…), up to a constant: ½ Σ (angle to its decoded tokens / ``angle``)² over joints."""
        pose = _checked(body_pose)
        lead = pose.shape[:-1]
        again = self.decode(self.encode(pose))
        a, b = (axis_angle_to_matrix(x.reshape(*lead, JOINTS, 3)) for x in (pose, again))
        return 0.5 * np.sum((geodesic_angle(a, b) / angle) ** 2, axis=-1)

    def _flat(self, latents: Array) -> tuple[Array, tuple[int, ...]]:
        latents = np.asarray(latents, np.float64)
        if latents.shape[-2:] != (self.tokens, self.codebook.shape[1]):
            raise InputError(f"latents of shape {latents.shape}; expected (…,{self.tokens},{self.codebook.shape[1]})")
        return latents.reshape(-1, *latents.shape[-2:]), latents.shape[:-2]


@cache
def _shipped() -> TokenizerPrior:
    return TokenizerPrior.from_tensors(read_tensors(locate("tokenizer"), ARCH))


def _checked(body_pose: Array) -> Array:
    pose = np.asarray(body_pose, np.float64)
    if pose.ndim < 1 or pose.shape[-1] != 3 * JOINTS:
        raise InputError(f"body_pose has shape {pose.shape}; expected (…,{3 * JOINTS})")
    return pose


def _convolution(arrays: dict[str, Array], name: str, **geometry: int) -> _Convolution:
    weight = arrays[f"{name}.weight"]  # (out, in, k)
    return _Convolution(np.ascontiguousarray(weight.transpose(2, 1, 0)), arrays[f"{name}.bias"], **geometry)


def _stack(arrays: dict[str, Array], name: str, stack: tuple[int, int]) -> tuple[_Layer, ...]:
    depth, rate = stack
    blocks = []
    for k, power in enumerate(reversed(range(depth))):
        wide = _convolution(arrays, f"{name}.model.{k}.conv1", padding=rate**power, dilation=rate**power)
        blocks.append(_Residual(wide, _convolution(arrays, f"{name}.model.{k}.conv2")))
    return tuple(blocks)


def _encoder(arrays: dict[str, Array], size_mul: int, stack: tuple[int, int]) -> tuple[_Layer, ...]:
    layers: list[_Layer] = [_convolution(arrays, "encoder.encoder.0", padding=1), _relu]
    for step in range(size_mul):
        name = f"encoder.encoder.{3 * step + 3}"
        layers += [_Resize(40 * 2**step), _convolution(arrays, name, padding=1), _relu]
    end = 3 * size_mul + 2
    layers += [_convolution(arrays, f"encoder.encoder.{end}.0", stride=2, padding=1)]
    layers += _stack(arrays, f"encoder.encoder.{end}.1", stack)
    return *layers, _convolution(arrays, f"encoder.encoder.{end + 1}", padding=1)


def _decoder(arrays: dict[str, Array], tokens: int, size_div: int, stack: tuple[int, int]) -> tuple[_Layer, ...]:
    layers: list[_Layer] = [_convolution(arrays, "decoder.decoder.0", padding=1), _relu]
    for step in range(size_div):
        length = int(tokens + (JOINTS - tokens) * (step + 1) / size_div)
        layers += [_Resize(length), _convolution(arrays, f"decoder.decoder.{3 * step + 3}", padding=1), _relu]
    end = 3 * size_div + 2
    layers += _stack(arrays, f"decoder.decoder.{end}.0", stack)
    layers += [_convolution(arrays, f"decoder.decoder.{end}.1", padding=1)]
    return *layers, _convolution(arrays, f"decoder.decoder.{end + 1}", padding=1)
