"""What is photographed: surfaces, lights, a backdrop and a camera, all in the camera's frame (OpenCV axes, metres)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from monocap.types import Array, Camera

SurfaceKind = Literal["skin", "eyes", "hair", "cloth", "shoes", "object"]


@dataclass(frozen=True, eq=False)
class Surface:
    """One mesh of a person's (skin, a garment, hair) or a thing.

    ``vertices`` (V,3) m; ``faces`` (F,3), corners counter-clockwise seen from outside; with a ``texture`` (H,W,3 or 4)
    uint8 sRGB (a fourth channel: opacity), ``uv`` (Vt,2) and ``uv_faces`` (F,3) as in `Mesh`; without one the plain
    ``colour``. ``person``: number of the person in the scene, -1 for things. ``part`` (F,): number of the SMPL-X joint
    that carries each face, None or -1 for things. ``gloss`` 0–1 is the strength, ``roughness`` 0–1 the width of its
    highlight. ``two_sided``: open meshes (skirts, hair cards) are seen from behind too. ``normals`` (V,3): smooth
    normals where they are known better than from this mesh alone (pieces cut from one body). ``folds`` 0–1: how much
    cloth with ``uv`` is in folds that its mesh does not have (none on tight knitwear); they tilt what is lit, not the
    true normals.
    """

    vertices: Any
    faces: Any
    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    uv: Any = None
    uv_faces: Any = None
    texture: Any = None
    person: int = -1
    part: Any = None
    kind: SurfaceKind = "object"
    gloss: float = 0.0
    roughness: float = 0.5
    two_sided: bool = False
    normals: Any = None
    folds: float = 0.4


@dataclass(frozen=True)
class Lamp:
    """A distant light: ``towards`` points at it (camera frame), ``colour`` linear RGB intensity, ``size`` its
    half-angle in radians (how soft its shadows are), ``shadows`` whether it casts any."""

    towards: tuple[float, float, float]
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size: float = 0.05
    shadows: bool = True


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What stands behind: ``image`` (H,W,3) uint8 sRGB of the camera's size; ``floor`` (4,) plane n·x + d = 0 in the
    camera frame that catches shadows (None: no floor in sight); ``floor_mask`` (H,W) 0–1: which pixels show it."""

    image: Any
    floor: tuple[float, float, float, float] | None = None
    floor_mask: Any = None


@dataclass(frozen=True, eq=False)
class Scene:
    """All that `photograph` needs. ``sky`` and ``ground``: linear RGB of the light from above and below; ``up``: the
    world's up in the camera frame; ``velocity``: metres per exposure by surface, (V,3) or None, for motion blur."""

    camera: Camera
    surfaces: tuple[Surface, ...]
    backdrop: Backdrop
    lamps: tuple[Lamp, ...] = (Lamp((-0.4, -0.8, -0.4)),)
    sky: tuple[float, float, float] = (0.3, 0.3, 0.32)
    ground: tuple[float, float, float] = (0.12, 0.11, 0.1)
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)
    velocity: tuple[Any, ...] = field(default_factory=tuple)


@dataclass(frozen=True, eq=False)
class Shot:
    """``image`` (H,W,3) uint8 sRGB; at the centre of each pixel: ``depth`` (H,W) float32 z in metres, inf for the
    backdrop; ``normal`` (H,W,3) float32, camera frame, 0 there; ``person`` and ``part`` (H,W) int16, -1 there;
    ``surface`` (H,W) int16 number of the surface seen, -1 there.

    What `synth.lens` develops: ``radiance`` (H,W,3) float32, the picture in linear light, not clipped; ``behind``
    (H,W,3), the backdrop alone with its shadows; ``coverage`` (H,W) float32 0–1, how much of a pixel the surfaces
    fill; ``motion`` (H,W,2) float32, pixels per exposure at its centre, None where the scene has no velocities."""

    image: Array
    depth: Array
    normal: Array
    person: Array
    part: Array
    surface: Array
    radiance: Any = None
    behind: Any = None
    coverage: Any = None
    motion: Any = None
