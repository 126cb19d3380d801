"""From a captured rig to SMPL-X's body joints: the same limb directions on the open body.

World orientations are carried over, not local ones: W_target = W_source · F⁻¹ · C. F is the frame of the source
joint at rest; C turns the target's bone at rest into the source's (shortest arc), so that limbs point where the
performer's did although a rest pose has spread legs or hanging arms. What a rig lacks is shared out: spine joints by
interpolation (rigs.toml), collars by a share of the arm's swing; elbow and wrist share the turn of the palm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import BodyModel
from monocap.data.mocap.clip import MocapClip
from monocap.data.mocap.rigs import BODY22, Rig, leg_length, recognise, rest_vector
from monocap.geometry import kinematics, rotations
from monocap.geometry.twist import share_forearm_twist
from monocap.skeletons import get
from monocap.types import Array

PARENTS = get("smplx55").parents[:22]
FPS = 30.0
# The clavicle follows the raised arm by a third in the plane of the scapula (Inman 1944), less in front and below;
# skin models of the SMPL family, whose rest pose is the raised arm, are posed well with a fifth.
COLLAR_SHARE = 0.2
STILL = np.deg2rad(2.0)  # a collar that never turns more was not captured
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
JUMP = 1.0  # rad between frames at 30 Hz: three times as fast as a boxer's elbow; flips of badly marked joints
COMPARED = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("knee", "ankle", "elbow", "wrist"))


@dataclass(frozen=True)
class RetargetError:
    """How well a retargeted clip plays the original on the open body.

    ``direction_deg`` (T,10): angles between upper and lower limbs, and trunk (mid-hips to neck) and head (neck to
    head), of original and copy; ``position_cm`` (T,8): knees, ankles, elbows, wrists after the original is scaled to
    the body (one factor: leg and trunk length) and hips are laid on hips.
    """

    direction_deg: Array
    position_cm: Array

    @property
    def summary(self) -> dict[str, float]:
        """Means and 95th percentiles."""
        return {
            "direction_mean_deg": float(self.direction_deg[:, :8].mean()),
            "direction_p95_deg": float(np.percentile(self.direction_deg[:, :8], 95)),
            "trunk_mean_deg": float(self.direction_deg[:, 8:].mean()),
            "position_mean_cm": float(self.position_cm.mean()),
            "position_p95_cm": float(np.percentile(self.position_cm, 95)),
        }


@dataclass(frozen=True)
class Retargeted:
    """A clip as SMPL-X parameters in a world with y up: axis-angle, radians, metres, ``fps`` per second."""

    name: str
    rig: str
    global_orient: Array  # (T,3)
    body_pose: Array  # (T,63)
    transl: Array  # (T,3)
    fps: float
    error: RetargetError

    @property
    def frames(self) -> int:
        """T."""
        return len(self.body_pose)

    @property
    def steady(self) -> NDArray[np.bool_]:
        """(T,) frames at which no joint jumps by more than `JUMP` from or to a neighbour."""
        local = rotations.axis_angle_to_matrix(self.body_pose.reshape(-1, 21, 3))
        jumps = (rotations.geodesic_angle(local[1:], local[:-1]) > JUMP * FPS / self.fps).any(axis=1)
        return ~(np.append(jumps, False) | np.append(False, jumps))


def retarget(clip: MocapClip, body: BodyModel, rig: Rig | None = None, fps: float = FPS) -> Retargeted:
    """SMPL-X parameters of a clip (lengths in metres) at ``fps`` for a body with betas 0.

    Raises InputError if the rig is not known (see `rigs.recognise`).
    """
    rig = rig or recognise(clip)
    clip = clip.resampled(fps)
    rest = np.asarray(body.J_template[:22], dtype=np.float64)
    source, positions = in_our_axes(clip, rig)
    world = np.empty((clip.frames, 22, 3, 3))
    fix = rest_alignment(clip, rig, rest)
    for j, name in enumerate(BODY22):
        turned = [source[:, clip.index(s)] @ _frame(rig, s).T for s in rig.joints[name]]
        mean = turned[0] if len(turned) == 1 else rotations.project_to_so3(np.mean(turned, axis=0))
        world[:, j] = mean @ fix[j]
    _share_collars(world, clip, rig)
    local = world.copy()
    for j in range(1, 22):
        local[:, j] = np.swapaxes(world[:, PARENTS[j]], -1, -2) @ world[:, j]
    pose = rotations.matrix_to_axis_angle(local)
    body_pose = share_forearm_twist(pose[:, 1:].reshape(-1, 63), rest)
    places = np.stack([positions[:, clip.index(rig.joints[name][-1])] for name in BODY22], axis=1)
    legs = sum(float(np.linalg.norm(rest[i] - rest[PARENTS[i]])) for i in (4, 5, 7, 8)) / 2
    root = places[:, 0] * legs / leg_length(clip, rig)
    error = compare(local, rest, places, world)
    return Retargeted(clip.name, rig.name, pose[:, 0], body_pose, root - rest[0], float(fps), error)


def rest_alignment(clip: MocapClip, rig: Rig, rest: Array) -> Array:
    """C (22,3,3): turns the body's bones at rest to the directions of the source's; identity in the trunk."""
    fix = np.broadcast_to(np.eye(3), (22, 3, 3)).copy()
    at = BODY22.index
    for side in ("left", "right"):
        for start, end in _LIMBS:
            a, b = f"{side}_{start}", f"{side}_{end}"
            wanted = _frame(rig, rig.joints[a][-1]) @ rig.axes @ rest_vector(clip, rig, a, b)
            fix[at(a)] = rotations.rotation_between(rest[at(b)] - rest[at(a)], wanted)
        fix[at(f"{side}_wrist")] = fix[at(f"{side}_elbow")]
        # Soles lie flat at rest, turned with the shin where it is spread.
        ankle, foot = f"{side}_ankle", f"{side}_foot"
        fix[at(ankle)] = fix[at(foot)] = fix[at(f"{side}_knee")]
        if rig.feet == "direction":
            wanted = _frame(rig, rig.joints[ankle][-1]) @ rig.axes @ rest_vector(clip, rig, ankle, foot)
            fix[at(ankle)] = rotations.rotation_between(rest[at(foot)] - rest[at(ankle)], wanted)
    return fix


def in_our_axes(clip: MocapClip, rig: Rig) -> tuple[Array, Array]:
    """World rotations (T,J,3,3) and joints (T,J,3), x left at rest, y up; frames of the file turned likewise."""
    clip = _offsets_from_places(clip) if rig.places == "world" else clip
    world, positions = clip.posed()
    return rig.axes @ world @ rig.axes.T, positions @ rig.axes.T


def _offsets_from_places(clip: MocapClip) -> MocapClip:
    """The clip with mean offsets, in their parents' frames, of the joints whose places the file gives in the world."""
    offsets = clip.offsets.copy()
    for name, place in clip.placed.items():  # parents first, as in the file
        joint = clip.index(name)
        parent = clip.parents[joint]
        world, positions = replace(clip, offsets=offsets).posed()
        offsets[joint] = np.einsum("tji,tj->i", world[:, parent], place - positions[:, parent]) / clip.frames
    return replace(clip, offsets=offsets)


def _frame(rig: Rig, joint: str) -> Array:
    """F (3,3): the source joint's own frame at rest, in our axes."""
    if joint not in rig.frames:
        return np.eye(3)
    return rotations.axis_angle_to_matrix(np.deg2rad(np.array(rig.frames[joint])))


def _share_collars(world: Array, clip: MocapClip, rig: Rig) -> None:
    """Collars that were not captured follow a share of the upper arm's swing out of the T-pose."""
    chest = world[:, BODY22.index("spine3")]
    for side, x in (("left", 1.0), ("right", -1.0)):
        collar, shoulder = BODY22.index(f"{side}_collar"), BODY22.index(f"{side}_shoulder")
        captured = rotations.geodesic_angle(chest, world[:, collar])
        if np.ptp(captured) > STILL:
            continue
        arm = np.swapaxes(chest, -1, -2) @ world[:, shoulder] @ np.array([x, 0.0, 0.0])
        swing = rotations.rotation_between(np.broadcast_to(np.array([x, 0.0, 0.0]), arm.shape), arm)
        world[:, collar] = chest @ rotations.axis_angle_to_matrix(COLLAR_SHARE * rotations.matrix_to_axis_angle(swing))


def compare(local: Array, rest: Array, places: Array, world: Array) -> RetargetError:
    """Errors of the posed body against the original's joints ``places`` (T,22,3) m, y up."""
    _, ours = kinematics.forward_kinematics(local, rest, PARENTS)
    at = BODY22.index
    pairs = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _LIMBS]
    directions = [_angle(ours[:, at(b)] - ours[:, at(a)], places[:, at(b)] - places[:, at(a)]) for a, b in pairs]
    mid_ours, mid_theirs = ours[:, [1, 2]].mean(axis=1), places[:, [1, 2]].mean(axis=1)
    neck, head = at("neck"), at("head")
    directions.append(_angle(ours[:, neck] - mid_ours, places[:, neck] - mid_theirs))
    directions.append(_angle(ours[:, head] - mid_ours, places[:, head] - mid_theirs))
    size_ours = np.linalg.norm(ours[0, neck] - mid_ours[0]) + _limb_lengths(ours[0])
    size_theirs = np.linalg.norm(places[0, neck] - mid_theirs[0]) + _limb_lengths(places[0])
    chosen = [at(name) for name in COMPARED]
    moved = (places[:, chosen] - mid_theirs[:, None]) * (size_ours / size_theirs)
    distance = np.linalg.norm(ours[:, chosen] - mid_ours[:, None] - moved, axis=-1)
    return RetargetError(np.rad2deg(np.stack(directions, axis=1)), 100 * distance)


def _limb_lengths(joints: Array) -> float:
    return float(sum(np.linalg.norm(joints[b] - joints[a]) for a, b in ((1, 4), (4, 7), (2, 5), (5, 8)))) / 2


def _angle(a: Array, b: Array) -> Array:
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1))
