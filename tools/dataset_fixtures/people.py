"""Small synthetic people with exact truth in every frame of reference that data sets use; written out by the others."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monocap import skeletons
from monocap.bodies import load_body
from monocap.geometry import transforms
from monocap.geometry.cameras import project
from monocap.geometry.rotations import axis_angle_to_matrix
from monocap.media.pictures import write_image


@dataclass(frozen=True)
class Scene:
    """T frames of one person of the open body walking in front of a camera; world y up, metres.

    ``K`` (3,3), ``size`` (w, h), ``T_camera_world`` (T,4,4); parameters in the world; ``world`` and ``camera`` (T,76,3)
    joints in the order of smplx76; ``pixels`` (T,76,2).
    """

    K: np.ndarray
    size: tuple[int, int]
    T_camera_world: np.ndarray
    betas: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    transl: np.ndarray
    world: np.ndarray
    camera: np.ndarray
    pixels: np.ndarray

    def joints(self, skeleton: str, where: str = "camera") -> np.ndarray:
        """(T,J,3|2) of ``camera``, ``world`` or ``pixels`` for another skeleton.

        Joints that the body does not know lie halfway between the hips and the neck.
        """
        if where == "pixels":
            return project(self.joints(skeleton), self.K)
        source = getattr(self, where)
        middle = source[:, [1, 2, 12]].mean(axis=1, keepdims=True)
        out = np.repeat(middle, len(skeletons.get(skeleton)), axis=1)
        a, b = skeletons.mapping("smplx76", skeleton)
        out[:, b] = source[:, a]
        return out


def scene(
    frames: int = 4,
    seed: int = 0,
    size: tuple[int, int] = (640, 480),
    focal: float = 500.0,
    K: np.ndarray | None = None,
    fixed_camera: bool = False,
) -> Scene:
    """A person who walks past the camera, arms swinging, everything inside the picture."""
    rng = np.random.default_rng(seed)
    body = load_body()
    t = np.linspace(0.0, 1.0, frames)
    pose = np.zeros((frames, 21, 3))
    swing = 0.5 * np.sin(2 * np.pi * t)
    pose[:, 0, 0], pose[:, 1, 0] = -swing, swing
    pose[:, 3, 0], pose[:, 4, 0] = 0.6 + 0.3 * swing, 0.6 - 0.3 * swing
    pose[:, 15, 2], pose[:, 16, 2] = -1.2, 1.2
    pose[:, 17, 1], pose[:, 18, 1] = -0.5 + 0.2 * swing, 0.5 + 0.2 * swing
    orient = np.stack([0.05 * swing, 0.4 + t, 0.02 * swing], axis=1)
    transl = np.stack([0.3 * t - 0.1, np.full(frames, 1.25), 0.2 * t], axis=1)
    betas = rng.normal(scale=0.7, size=10)
    posed = {"betas": betas, "global_orient": orient, "body_pose": pose.reshape(frames, 63), "transl": transl}
    world = np.concatenate([body.joints_only(**posed), body.extra_points(**posed)], axis=1).astype(np.float64)
    turn = np.zeros((frames, 3)) if fixed_camera else np.stack([0 * t, 0.1 * t, 0 * t], axis=1)
    flip = np.diag([1.0, -1.0, -1.0])  # the world is y up, the camera y down, 4 m in front
    shift = np.tile([0.0, 0.9, 4.0], (frames, 1)) + (0.0 if fixed_camera else 0.1) * t[:, None]
    place = transforms.from_parts(axis_angle_to_matrix(turn) @ flip, shift)
    camera = transforms.apply(place, world)
    if K is None:
        K = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])
    pixels = project(camera, K)
    return Scene(K, size, place, betas, orient, pose.reshape(frames, 63), transl, world, camera, pixels)


def write_picture(path: Path, size: tuple[int, int]) -> None:
    """A grey picture of a size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full((size[1], size[0], 3), 128, dtype=np.uint8))


def write_old_pickle(path: Path, content: Any) -> None:
    """A pickle as numpy 1 wrote it at protocol 2, which is what the makers of these data sets used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 2).replace(b"numpy._core.", b"numpy.core."))
