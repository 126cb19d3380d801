"""The pose tokenizer of TokenHMR (Dwivedi et al., CVPR 2024): a VQ-VAE whose time axis is the list of body joints.

::

    21 rotations as 6D (rows) → encoder: convolutions, nearest upsampling → tokens × code_dim
                              → quantizer: nearest of `codes` vectors       → indices (tokens)
                              → decoder: convolutions, nearest resizing     → 21 × 6D → rotations

Layer names and sizes are those of the official ``tokenizer.pth`` for `OFFICIAL`. Unlike the official training code,
the statistics of the codebook are buffers (so that resuming goes on instead of starting the codebook anew), and
`tokenize` works. Both ends use the contiguous-rows layout of 6D rotations.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from monocap.errors import InputError
from monocap.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_rotation_6d,
)
from monocap.nets.iterative import whole_rotations

JOINTS = 21
ARCH = "pose-tokenizer"
LAYOUT = "contiguous_rows"


@dataclass(frozen=True)
class TokenizerConfig:
    """Sizes. The encoder resizes 21 joints to 40 and then doubles ``size_mul`` − 1 times before one halving, so there
    are 20·2^(size_mul − 1) tokens; the decoder goes back to 21 in ``size_div`` even steps."""

    width: int = 128
    code_dim: int = 128
    codes: int = 512
    size_mul: int = 2
    size_div: int = 2
    depth: int = 2
    dilation_rate: int = 3

    @property
    def tokens(self) -> int:
        """Number of tokens per pose."""
        return 20 * 2 ** (self.size_mul - 1)

    @property
    def decoder_lengths(self) -> tuple[int, ...]:
        """Lengths that the decoder resizes to, one after the other; the last is 21."""
        steps = self.size_div
        return tuple(int(self.tokens + (JOINTS - self.tokens) * k / steps) for k in range(1, steps + 1))


OFFICIAL = TokenizerConfig(width=512, code_dim=256, codes=2048, size_mul=4, size_div=4)


class TokenizerOutput(NamedTuple):
    """``rotations`` (N,21,3,3), ``indices`` (N,tokens) int64, ``commitment``: how far latents are from codes."""

    rotations: Tensor
    indices: Tensor
    commitment: Tensor


class _Residual(nn.Module):
    """ReLU → dilated convolution → ReLU → pointwise convolution → + input."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x))))


class _ResidualStack(nn.Module):
    """Residual blocks with falling dilation: rate^(depth−1) … 1."""

    def __init__(self, width: int, depth: int, rate: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(_Residual(width, rate**power) for power in reversed(range(depth))))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class _Encoder(nn.Module):
    def __init__(self, c: TokenizerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(6, c.width, 3, padding=1), nn.ReLU()]
        for step in range(c.size_mul):
            resize = nn.Upsample(size=40) if step == 0 else nn.Upsample(scale_factor=2)
            layers += [resize, nn.Conv1d(c.width, c.width, 3, padding=1), nn.ReLU()]
        halve = nn.Conv1d(c.width, c.width, 4, stride=2, padding=1)
        layers += [nn.Sequential(halve, _ResidualStack(c.width, c.depth, c.dilation_rate))]
        layers += [nn.Conv1d(c.width, c.code_dim, 3, padding=1)]
        self.encoder = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


class _Decoder(nn.Module):
    def __init__(self, c: TokenizerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv1d(c.code_dim, c.width, 3, padding=1), nn.ReLU()]
        for length in c.decoder_lengths:
            layers += [nn.Upsample(size=length), nn.Conv1d(c.width, c.width, 3, padding=1), nn.ReLU()]
        mix = nn.Conv1d(c.width, c.width, 3, padding=1)
        layers += [nn.Sequential(_ResidualStack(c.width, c.depth, c.dilation_rate), mix)]
        last = nn.Conv1d(c.width, 6, 3, padding=1)
        # start at the rest pose: half a turn away, two joints of the spine can settle on undoing each other
        last.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
        layers += [last]
        self.decoder = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(x)


class Quantizer(nn.Module):
    """Nearest-code quantisation; in training the codes follow running means and unused ones are replaced.

    Buffers: ``codebook`` (K,D), running ``code_sum`` (K,D) and ``code_count`` (K,), and whether it has begun.
    """

    codebook: Tensor
    code_sum: Tensor
    code_count: Tensor
    begun: Tensor
    DECAY = 0.99
    ALIVE = 1.0  # a code with a running count below it is replaced by a vector of the current batch

    def __init__(self, codes: int, code_dim: int) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.zeros(codes, code_dim))
        self.register_buffer("code_sum", torch.zeros(codes, code_dim))
        self.register_buffer("code_count", torch.ones(codes))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (…) of the codes nearest to ``latents`` (…,D)."""
        flat = latents.reshape(-1, latents.shape[-1])
        distance = (self.codebook**2).sum(1) - 2 * flat @ self.codebook.T
        return distance.argmin(1).reshape(latents.shape[:-1])

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes with straight-through gradient (N,tokens,D), their indices (N,tokens), and the commitment loss."""
        flat = latents.detach().reshape(-1, latents.shape[-1])
        if self.training and not bool(self.begun):
            self._begin(flat)
        indices = self.nearest(latents)
        codes = self.codebook[indices]
        commitment = functional.mse_loss(latents, codes.detach())
        if self.training:
            self._follow(flat, indices.reshape(-1))
        return latents + (codes - latents).detach(), indices, commitment

    def _drawn(self, flat: Tensor) -> Tensor:
        """As many vectors of the batch as there are codes; a small batch is repeated with a little noise."""
        count, size = self.codebook.shape
        if len(flat) < count:
            flat = flat.repeat(-(-count // len(flat)), 1)
            flat = flat + torch.randn_like(flat) * 0.01 / size**0.5
        return flat[torch.randperm(len(flat), device=flat.device)[:count]]

    def _begin(self, flat: Tensor) -> None:
        self.codebook.copy_(self._drawn(flat))
        self.code_sum.copy_(self.codebook)
        self.code_count.fill_(1.0)
        self.begun.fill_(True)

    def _follow(self, flat: Tensor, indices: Tensor) -> None:
        batch_sum = torch.zeros_like(self.code_sum).index_add_(0, indices, flat.to(self.code_sum.dtype))
        batch_count = torch.bincount(indices, minlength=len(self.codebook)).to(self.code_count.dtype)
        self.code_sum.mul_(self.DECAY).add_(batch_sum, alpha=1 - self.DECAY)
        self.code_count.mul_(self.DECAY).add_(batch_count, alpha=1 - self.DECAY)
        dead = self.code_count < self.ALIVE
        if bool(dead.any()):
            fresh = self._drawn(flat).to(self.code_sum.dtype)
            self.code_sum[dead], self.code_count[dead] = fresh[dead] * self.ALIVE, self.ALIVE
        self.codebook.copy_(self.code_sum / self.code_count[:, None])


class PoseTokenizer(nn.Module):
    """``body_pose`` (N,63) axis-angle radians ↔ ``indices`` (N,tokens) of codes."""

    def __init__(self, config: TokenizerConfig | None = None) -> None:
        super().__init__()
        self.sizes = config or TokenizerConfig()
        self.encoder = _Encoder(self.sizes)
        self.quantizer = Quantizer(self.sizes.codes, self.sizes.code_dim)
        self.decoder = _Decoder(self.sizes)

    @property
    def config(self) -> dict[str, Any]:
        """What `build_tokenizer` needs to make this network again."""
        return {"name": ARCH, **asdict(self.sizes)}

    def latents(self, rotation_6d: Tensor) -> Tensor:
        """Unquantised latents (N,tokens,code_dim) of 6D rotations (N,21,6), contiguous rows."""
        return self.encoder(rotation_6d.transpose(1, 2)).transpose(1, 2)

    def rotations(self, latents: Tensor) -> Tensor:
        """Rotations (N,21,3,3) of latents or codes (N,tokens,code_dim)."""
        return whole_rotations(self.rotation_6d(latents).flatten(1), LAYOUT)

    def rotation_6d(self, latents: Tensor) -> Tensor:
        """The decoder's own output (N,21,6); TokenHMR adds its mean pose to it."""
        return self.decoder(latents.transpose(1, 2)).transpose(1, 2)

    def tokenize(self, body_pose: Tensor) -> Tensor:
        """Indices (N,tokens) int64 of the nearest codes."""
        return self.quantizer.nearest(self.latents(pose_to_6d(body_pose)))

    def decode(self, indices: Tensor) -> Tensor:
        """``body_pose`` (N,63) of indices (N,tokens). Raises InputError for indices that are no codes."""
        if indices.is_floating_point() or (
            len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < self.sizes.codes
        ):
            raise InputError(f"token indices; expected integers in 0…{self.sizes.codes - 1}")
        return _axis_angle(self.rotations(self.quantizer.codebook[indices]))

    def decode_soft(self, probabilities: Tensor) -> Tensor:
        """``body_pose`` (N,63) of a distribution over codes for every token (N,tokens,K), differentiable."""
        return _axis_angle(self.rotations(probabilities @ self.quantizer.codebook))

    def forward(self, rotation_6d: Tensor) -> TokenizerOutput:
        """Encode, quantise, decode 6D rotations (N,21,6) (contiguous rows; may be noisy or masked with zeros)."""
        codes, indices, commitment = self.quantizer(self.latents(rotation_6d))
        return TokenizerOutput(self.rotations(codes), indices, commitment)


def pose_to_6d(body_pose: Tensor) -> Tensor:
    """6D rotations (N,21,6), contiguous rows, of ``body_pose`` (N,63)."""
    return matrix_to_rotation_6d(axis_angle_to_matrix(body_pose.reshape(-1, JOINTS, 3)), LAYOUT)


def _axis_angle(rotations: Tensor) -> Tensor:
    return matrix_to_axis_angle(rotations).reshape(-1, 3 * JOINTS)


def build_tokenizer(name: str = ARCH, **sizes: int) -> PoseTokenizer:
    """A tokenizer with fresh weights; ``sizes`` as in `TokenizerConfig`. Raises InputError for unknown ones."""
    if name != ARCH:
        raise InputError(f"no tokenizer called {name!r}; there is {ARCH!r}")
    try:
        return PoseTokenizer(TokenizerConfig(**sizes))
    except TypeError as error:
        raise InputError(f"tokenizer sizes {sorted(sizes)}: {error}") from error
