"""Synthetic pictures brought nearer to real ones: by the statistics of real pictures, or by a user's own network.

Two ways, neither of which may move the people, because the truth would no longer hold:

- `Likeness`: a folder of real pictures gives its colours (mean and spread in CIELAB; Reinhard et al. 2001), its large
  light and dark (amplitudes of the lowest frequencies; Yang and Soatto, FDA, CVPR 2020) and its sharpness and grain
  (mean amplitude by frequency). Free, quick, no training.
- `NetworkRefiner`: an ONNX image-to-image network that is also given the depth, so that it can keep the shapes.

`Recheck` looks at the result with the keypoint network: where it now finds people elsewhere than before, the picture
is refused and the rendered one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from monocap import skeletons
from monocap.assets.sessions import open_network
from monocap.data.synthetic import SynthSample
from monocap.errors import InputError
from monocap.media.pictures import is_picture, read_picture
from monocap.perception import BlazePose, Roi
from monocap.skeletons import LIMBS12
from monocap.types import Array

_MAX_PICTURES = 500


class Refiner(Protocol):
    """Something that makes a picture (H,W,3) uint8 of a sample more like a photograph."""

    def __call__(self, sample: SynthSample, rng: np.random.Generator) -> Array: ...


@dataclass(frozen=True, eq=False)
class Likeness:
    """What real pictures look like: ``colours`` (R,2,3) mean and spread in CIELAB, ``low`` R × amplitudes of their
    lowest frequencies (3 channels), ``falloff`` (bins,) mean amplitude by frequency. ``strength`` 0–1 of all of it."""

    colours: Array
    low: tuple[Array, ...]
    falloff: Array
    strength: float = 0.6

    @classmethod
    def of(cls, folder: Path, size: int = 224, strength: float = 0.6) -> Likeness:
        """Statistics of the pictures in a folder, seen at ``size`` pixels.

        Raises InputError for a folder without pictures, MediaError for one that cannot be read.
        """
        if not 0.0 <= strength <= 1.0:
            raise InputError(f"strength is {strength}; expected 0 (nothing) to 1")
        paths = sorted(path for path in folder.rglob("*") if is_picture(path))[:_MAX_PICTURES]
        if not paths:
            raise InputError(f"{folder}: no pictures; expected a folder of photographs to be like")
        squares = [_square(read_picture(path).image, size) for path in paths]
        lab = [cv2.cvtColor(square, cv2.COLOR_RGB2LAB).astype(np.float64) for square in squares]
        colours = np.array([[v.mean(axis=(0, 1)), v.std(axis=(0, 1))] for v in lab])
        spectra = [np.abs(np.fft.fft2(square.astype(np.float64), axes=(0, 1))) for square in squares]
        low = tuple(_corner(spectrum) for spectrum in spectra)
        return cls(colours, low, np.mean([_radial(s.mean(axis=2)) for s in spectra], axis=0), strength)

    def __call__(self, sample: SynthSample, rng: np.random.Generator) -> Array:
        image = sample.image
        one, other = rng.integers(len(self.colours), size=2)
        spectrum = np.fft.fft2(image.astype(np.float64), axes=(0, 1))
        amplitude, phase = np.abs(spectrum), np.angle(spectrum)
        gain = np.clip(self.falloff / np.maximum(_radial(amplitude.mean(axis=2)), 1e-9), 0.6, 1.6)
        amplitude *= 1 + self.strength * (_by_frequency(gain, *image.shape[:2])[..., None] - 1)
        _mix_corner(amplitude, self.low[int(other)], self.strength, image.size / 3)
        back = np.fft.ifft2(amplitude * np.exp(1j * phase), axes=(0, 1)).real
        back = np.clip(np.rint(back), 0, 255).astype(np.uint8)
        lab = cv2.cvtColor(back, cv2.COLOR_RGB2LAB).astype(np.float64)
        mean, spread = lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))
        mean_to, spread_to = self.colours[int(one)]
        matched = (lab - mean) * np.clip(spread_to / np.maximum(spread, 1e-3), 0.5, 2.0) + mean_to
        mixed = lab + self.strength * (matched - lab)
        return cv2.cvtColor(np.clip(np.rint(mixed), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


class NetworkRefiner:
    """A user's ONNX network: inputs (1,3,H,W) picture and (1,1,H,W) depth, told apart by their channels, output
    (1,3,H,W). Pictures run from −1 to 1 (or 0 to 1, if the file's metadata hold ``image_range`` = ``0..1``); depth is
    inverse, 0 for the farthest to 1 for the nearest, as depth-conditioned diffusion networks have it. A network of
    fixed size sees the picture resized."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Raises AssetError for a file that is no network, InputError for one with other inputs."""
        self._network = open_network(path, threads)
        by_channels: dict[Any, Any] = {}
        for given in self._network.get_inputs():
            if len(given.shape) == 4 and given.type == "tensor(float)":
                by_channels[given.shape[1]] = given
        outputs = self._network.get_outputs()
        if set(by_channels) != {1, 3} or len(self._network.get_inputs()) != 2 or len(outputs) != 1:
            had = ", ".join(f"{i.name} {i.type} {i.shape}" for i in self._network.get_inputs())
            raise InputError(
                f"{path}: has inputs {had}; expected two float ones, a picture (1,3,H,W) and a depth (1,1,H,W), "
                "and one picture out"
            )
        self._image, self._depth, self._name = by_channels[3], by_channels[1], path.name
        meta = self._network.get_modelmeta().custom_metadata_map
        self._low = 0.0 if meta.get("image_range") == "0..1" else -1.0

    def __call__(self, sample: SynthSample, rng: np.random.Generator) -> Array:
        height, width = sample.image.shape[:2]
        fixed = self._image.shape[2:]
        asked = [side if isinstance(side, int) else own for side, own in zip(fixed, (height, width), strict=True)]
        size = (asked[1], asked[0])
        scale = 1.0 - self._low
        image = (
            cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 * scale + self._low
        )
        near = cv2.resize(inverse_depth(sample.depth), size, interpolation=cv2.INTER_LINEAR)
        given = {self._image.name: np.moveaxis(image, -1, 0)[None], self._depth.name: near[None, None]}
        out = np.asarray(self._network.run(None, given)[0])
        if out.ndim != 4 or out.shape[:2] != (1, 3) or not np.isfinite(out).all():
            raise InputError(f"{self._name}: gave {out.shape}; expected a finite picture (1,3,H,W)")
        picture = np.clip((np.moveaxis(out[0], 0, -1) - self._low) / scale, 0, 1)
        resized = cv2.resize(picture.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return np.rint(255 * resized).astype(np.uint8)


class Recheck:
    """Do people still stand where the truth says? Judged by the keypoint network on 12 limb joints.

    A refined picture passes if, for every person with enough of them in view, the network's median distance from the
    truth is at most ``slack`` of the box's longer side larger than on the rendered picture.
    """

    def __init__(self, slack: float = 0.02, threads: int | None = None) -> None:
        self.slack = slack
        self._network = BlazePose("lite", threads)
        self._rows = list(skeletons.get("blazepose33").indices(LIMBS12))

    def __call__(self, sample: SynthSample, refined: Array) -> bool:
        for person in sample.samples():
            assert person.joints2d is not None
            assert person.box_center is not None
            assert person.box_size is not None
            truth = person.joints2d[list(skeletons.get(person.skeleton2d).indices(LIMBS12))]
            if truth[:, 2].sum() < 6:
                continue
            roi = Roi(person.box_center, 1.25 * float(person.box_size.max()))
            before, after = (self._error(image, roi, truth) for image in (sample.image, refined))
            if after > before + self.slack * float(person.box_size.max()):
                return False
        return True

    def _error(self, image: Array, roi: Roi, truth: Array) -> float:
        found = self._network.estimate(image, roi).keypoints.points2d[self._rows, :2]
        return float(np.median(np.linalg.norm(found - truth[:, :2], axis=1)[truth[:, 2] > 0]))


def refine(sample: SynthSample, refiners: Sequence[Refiner], recheck: Recheck | None = None) -> SynthSample:
    """The sample with a refined picture, or unchanged where the people would no longer be where the truth says.

    ``about["refined"]`` tells which. The chance in it comes from the sample's own number and seed.
    """
    rng = np.random.default_rng([int(sample.about.get("seed", 0)), sample.number, 0x5EF1])
    image = sample.image
    for refiner in refiners:
        image = refiner(replace(sample, image=image), rng)
    kept = recheck is None or recheck(sample, image)
    return replace(sample, image=image if kept else sample.image, about={**sample.about, "refined": kept})


def inverse_depth(depth: Array) -> Array:
    """(H,W) float32 from 0 (farthest, or nothing) to 1 (nearest) for a depth in metres, inf where nothing is."""
    near = np.where(np.isfinite(depth), 1.0 / np.maximum(depth, 1e-3), 0.0)
    return (near / max(float(near.max()), 1e-9)).astype(np.float32)


def _square(image: Array, size: int) -> Array:
    """The middle of a picture as ``size``² pixels."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)


_BINS, _LOWEST = 64, 3


def _frequency(height: int, width: int) -> Array:
    """(H,W) bin of every entry of a spectrum: 0 for the mean, `_BINS` − 1 from half the sampling rate on."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    return np.minimum((radius * 2 * _BINS).astype(int), _BINS - 1)


def _radial(amplitude: Array) -> Array:
    """(bins,) mean amplitude by frequency, per pixel of the picture, so that sizes compare."""
    bins = _frequency(*amplitude.shape).ravel()
    total = np.bincount(bins, amplitude.ravel(), _BINS) / np.maximum(np.bincount(bins, minlength=_BINS), 1)
    return total / np.sqrt(amplitude.size)


def _by_frequency(values: Array, height: int, width: int) -> Array:
    """(H,W) values (bins,) spread over a spectrum; the lowest frequencies are left to `_mix_corner`."""
    out = values[_frequency(height, width)]
    out[_corner_mask(height, width)] = 1.0
    return out


def _corner_index(length: int) -> Array:
    return np.r_[0 : _LOWEST + 1, length - _LOWEST : length]


def _corner_mask(height: int, width: int) -> Array:
    mask = np.zeros((height, width), bool)
    mask[np.ix_(_corner_index(height), _corner_index(width))] = True
    return mask


def _corner(amplitude: Array) -> Array:
    """Amplitudes of the lowest frequencies (7,7,3) per pixel, without the mean."""
    height, width = amplitude.shape[:2]
    corner = amplitude[np.ix_(_corner_index(height), _corner_index(width))] / (height * width)
    corner[0, 0] = 0.0
    return corner


def _mix_corner(amplitude: Array, corner: Array, strength: float, pixels: float) -> None:
    """Half of ``strength`` of the lowest amplitudes are the other picture's; the mean stays."""
    rows = np.ix_(_corner_index(amplitude.shape[0]), _corner_index(amplitude.shape[1]))
    own = amplitude[rows]
    mixed = own + 0.5 * strength * (corner * pixels - own)
    mixed[0, 0] = own[0, 0]
    amplitude[rows] = mixed
