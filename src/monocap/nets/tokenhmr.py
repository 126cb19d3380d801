"""TokenHMR (Dwivedi et al., CVPR 2024): HMR 2.0 whose body pose is a sentence of pose tokens.

::

    crop → ViT → token decoder ─┬─ root 6D, hands 6D, betas, cam: linear readouts
                                └─ classifier: 160 distributions over 2048 codes, mixed → frozen tokenizer's decoder

The mean pose is added to what the tokenizer decodes, as in the released networks, whose codes thereby stand for an
offset. 6D rotations are contiguous rows. The tokenizer has its own file; see `TokenHmr.load_tokenizer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from monocap.errors import InputError
from monocap.nets.backbones.vit import Vit
from monocap.nets.decoder import WIDTH, TokenDecoder
from monocap.nets.hmr2 import MeanStart, VitNetwork
from monocap.nets.iterative import BETAS, BodyOutput, whole_rotations
from monocap.nets.network import fill
from monocap.nets.pose_tokenizer import LAYOUT, OFFICIAL, PoseTokenizer, TokenizerConfig

JOINTS = 24
_CHANNELS, _BLOCKS = 64, 4


class _Dense(nn.Module):
    """Linear, normalised, ReLU."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(nn.Linear(into, out), nn.LayerNorm(out), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.ff(x)


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.0), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.ff(x)


class _Mixer(nn.Module):
    """One layer across tokens, one across channels; both are added to what came in."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.layernorm1 = nn.LayerNorm(_CHANNELS)
        self.MLP_token = _Mlp(tokens, 64)
        self.layernorm2 = nn.LayerNorm(_CHANNELS)
        self.MLP_channel = _Mlp(_CHANNELS, 256)

    def forward(self, x: Tensor) -> Tensor:
        y = self.MLP_token(self.layernorm1(x).transpose(1, 2)).transpose(1, 2)
        return x + y + self.MLP_channel(self.layernorm2(x + y))


class TokenClassifier(nn.Module):
    """(N,1024) → scores (N,tokens,codes), before the softmax."""

    def __init__(self, tokens: int, codes: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.mixer_trans = _Dense(WIDTH, tokens * _CHANNELS)
        self.mixer_head = nn.ModuleList(_Mixer(tokens) for _ in range(_BLOCKS))
        self.mixer_norm_layer = _Dense(_CHANNELS, _CHANNELS)
        self.class_pred_layer = nn.Linear(_CHANNELS, codes)

    def forward(self, token: Tensor) -> Tensor:
        x = self.mixer_trans(token).unflatten(-1, (self.tokens, _CHANNELS))
        for mix in self.mixer_head:
            x = mix(x)
        return self.class_pred_layer(self.mixer_norm_layer(x))


class _Head(MeanStart):
    def __init__(self, context: int, sizes: TokenizerConfig) -> None:
        super().__init__(JOINTS, LAYOUT)
        self.transformer = TokenDecoder(context)
        self.decpose_grot = nn.Linear(WIDTH, 6)
        self.decpose_hands = nn.Linear(WIDTH, 12)
        self.decpose = TokenClassifier(sizes.tokens, sizes.codes)
        self.decshape = nn.Linear(WIDTH, BETAS)
        self.deccam = nn.Linear(WIDTH, 3)


class TokenHmr(VitNetwork):
    """681,199,967 parameters on ViT-H, without its tokenizer. ``tokenizer``: sizes as in `TokenizerConfig`, by default
    the official ones."""

    crop = "tokenhmr"
    layout = LAYOUT

    def __init__(
        self, size: str = "H", checkpointing: bool = False, tokenizer: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(JOINTS)
        sizes = OFFICIAL if tokenizer is None else TokenizerConfig(**tokenizer)
        self.encoder = Vit(size, checkpointing)
        self.head = _Head(self.encoder.channels, sizes)
        self.tokenizer = PoseTokenizer(sizes).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As ever, except for the tokenizer, which learns no more."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """As `Network.load_official`; the tokenizer, which is not in that file, stays as it is."""
        kept = {f"tokenizer.{name}": value for name, value in self.tokenizer.state_dict().items()}
        own = {self.own_name(name.removeprefix("module.")): value for name, value in state.items()}
        fill(self, {name: value for name, value in own.items() if name is not None} | kept)

    def load_tokenizer(self, tokenizer: PoseTokenizer) -> None:
        """Take over a trained tokenizer of the same sizes. Raises InputError for other sizes."""
        if tokenizer.sizes != self.tokenizer.sizes:
            raise InputError(f"a tokenizer of {tokenizer.sizes}; expected {self.tokenizer.sizes}")
        self.tokenizer.load_state_dict(tokenizer.state_dict())

    def read(self, image: Tensor) -> tuple[BodyOutput, Tensor]:
        """The body and the distributions (N,tokens,codes) that its pose was mixed from."""
        head, maps = self.head, self.encoder(image)
        given = maps.new_zeros(1, 1).expand(maps.shape[0], 1)
        token = head.transformer(given, maps.flatten(2).transpose(1, 2))
        likely = head.decpose(token).softmax(dim=-1)
        body = self.tokenizer.rotation_6d(likely @ self.tokenizer.quantizer.codebook).flatten(1)
        pose = torch.cat([head.decpose_grot(token), body, head.decpose_hands(token)], dim=1) + head.init_body_pose
        betas, cam = head.decshape(token) + head.init_betas, head.deccam(token) + head.init_cam
        return BodyOutput(whole_rotations(pose, LAYOUT), betas, cam), likely

    def forward(self, image: Tensor) -> list[BodyOutput]:
        """One body per picture, in a list of one."""
        return [self.read(image)[0]]
