"""People without networks: stick figures whose places are known, a detector and a landmark network that see them.

A puppet is drawn as a coloured block, so that its looks can be compared; whoever is nearer hides whoever is behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monocap.perception import PoseResult, Roi
from monocap.perception.followed import coco_of
from monocap.perception.roi import from_alignment
from monocap.skeletons import get
from monocap.types import Detections, Keypoints

SKELETON = get("blazepose33")
# places of some landmarks as parts of the height, from the hips, x to the puppet's left; the others in between
PLACES = {"nose": (0, -0.42), "shoulder": (0.1, -0.3), "hip": (0.07, 0), "knee": (0.08, 0.24), "ankle": (0.08, 0.46)}
PLACES |= {"elbow": (0.15, -0.15), "wrist": (0.17, 0.0), "eye": (0.02, -0.44), "ear": (0.04, -0.43)}


@dataclass
class Puppet:
    """Somebody at hips (x, y) pixels, ``height`` pixels tall, in one colour."""

    x: float
    y: float
    height: float
    colour: tuple[int, int, int]

    def points(self) -> np.ndarray:
        out = np.zeros((len(SKELETON), 3), np.float32)
        for i, name in enumerate(SKELETON.joint_names):
            part = next((place for key, place in PLACES.items() if key in name), (0.08, 0.47 if "foot" in name else 0))
            side = 1 if "left" in name else -1
            out[i] = self.x + side * part[0] * self.height, self.y + part[1] * self.height, 0.9
        return out

    @property
    def box(self) -> np.ndarray:
        half, top, bottom = 0.18 * self.height, 0.46 * self.height, 0.48 * self.height
        return np.array([self.x - half, self.y - top, self.x + half, self.y + bottom])


class Scene:
    """What is to be seen in the current frame; puppets nearest first."""

    def __init__(self, width: int = 640, height: int = 360) -> None:
        self.size = width, height
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        self.background = np.stack([x % 97 + 60, y % 61 + 90, (x + y) % 83 + 80], -1).astype(np.uint8)
        self.visible: list[Puppet] = []  # those of whom at least half is not hidden, nor outside
        self.image = self.background

    def show(self, *puppets: Puppet) -> np.ndarray:
        """The picture of these puppets, which the networks see from now on."""
        self.image = self.background.copy()
        places = [tuple(np.clip(p.box.round().astype(int), 0, [*self.size, *self.size])) for p in puppets]
        for puppet, (x0, y0, x1, y1) in zip(reversed(puppets), reversed(places), strict=True):
            self.image[y0:y1, x0:x1] = puppet.colour
        covered = np.zeros(self.background.shape[:2], bool)
        self.visible = []
        for puppet, (x0, y0, x1, y1) in zip(puppets, places, strict=True):
            if (~covered[y0:y1, x0:x1]).sum() > 0.5 * np.prod(puppet.box[2:] - puppet.box[:2]):
                self.visible.append(puppet)
            covered[y0:y1, x0:x1] = True
        return self.image


class PuppetDetector:
    """Sees everybody who is visible, and what is in ``ghosts``: boxes where there is nobody."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.calls = scene, 0
        self.ghosts: list[Puppet] = []

    def detect(self, image: np.ndarray, thorough: bool = False, quick: bool = False) -> Detections:
        self.calls += 1
        seen = [*self.scene.visible, *self.ghosts]
        boxes = np.array([p.box for p in seen]).reshape(-1, 4)
        points = np.array([coco_of(p.points()) for p in seen]).reshape(-1, 17, 3)
        return Detections(boxes, np.full(len(seen), 0.6), points)


class PuppetNetwork:
    """Sees in a region whoever is visible and nearest to its middle, as the real one does, with a little noise."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.rng, self.calls = scene, np.random.default_rng(0), 0

    def estimate(self, image: np.ndarray, roi: Roi, want_mask: bool = False) -> PoseResult:
        self.calls += 1
        seen = self.scene.visible
        apart = [float(np.hypot(p.x - roi.center[0], p.y - roi.center[1])) for p in seen]
        nobody = not seen or min(apart) > 0.5 * roi.size
        puppet = (
            Puppet(roi.center[0], roi.center[1], roi.size / 2, (0, 0, 0)) if nobody else seen[int(np.argmin(apart))]
        )
        points = puppet.points()
        points[:, :2] += self.rng.normal(size=(len(points), 2)) * 0.004 * puppet.height
        keypoints = Keypoints("blazepose33", points, np.zeros_like(points), 0.0 if nobody else 0.95)
        hips = np.array([puppet.x, puppet.y])
        following = from_alignment(hips, hips - [0, 0.5 * puppet.height])
        return PoseResult(keypoints, roi, 0.1 if nobody else 0.8, following)
