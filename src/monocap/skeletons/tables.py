"""The tables: joints in order, parent of each by name, edges to draw, and names that mean something else elsewhere.

Sources: smplx (kinematic tree and joint order), COCO keypoint challenge, OpenPose BODY_25, MediaPipe Pose
(BlazePose, 33 landmarks), Human3.6M in the order of 17 joints with the right leg first.
"""

from __future__ import annotations

Table = tuple[tuple[str, ...], dict[str, str], tuple[tuple[str, str], ...], dict[str, tuple[str, ...]]]


def _both(*names: str) -> tuple[str, ...]:
    """left_NAME, right_NAME of every name, in pairs."""
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


def _sides(tree: dict[str, str]) -> dict[str, str]:
    """A one-sided tree written for both sides; a parent that starts with "=" lies in the middle."""
    return {
        f"{side}_{child}": parent[1:] if parent.startswith("=") else f"{side}_{parent}"
        for side in ("left", "right")
        for child, parent in tree.items()
    }


def _edges(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Edges of both sides."""
    return tuple((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in pairs)


# ------------------------------------------------------------------ SMPL family
_SPINE = {"spine1": "pelvis", "spine2": "spine1", "spine3": "spine2", "neck": "spine3", "head": "neck"}
_LIMBS = _sides(
    {
        **{"hip": "=pelvis", "knee": "hip", "ankle": "knee", "foot": "ankle"},
        **{"collar": "=spine3", "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow"},
    }
)
_BODY22 = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *_both("shoulder", "elbow", "wrist"),
)
# Pinky before ring and thumb last: not the order of OpenPose, MANO's tips or VRM.
_FINGERS = tuple(f"{finger}{k}" for finger in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2, 3))
_HANDS = tuple(f"{side}_{name}" for side in ("left", "right") for name in _FINGERS)
_HAND_TREE = _sides({name: "wrist" if name[-1] == "1" else f"{name[:-1]}{int(name[-1]) - 1}" for name in _FINGERS})
_SMPL_TREE = {**_SPINE, **_LIMBS}
_FACE = {"jaw": "head", "left_eye": "head", "right_eye": "head"}

# ------------------------------------------------------------------ keypoint sets
_COCO = ("nose", *_both("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
_LIMB_EDGES = _edges(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
_GIRDLES = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))

_COCO_FACE_EDGES = (("nose", "left_eye"), ("nose", "right_eye"), *_edges(("eye", "ear"), ("ear", "shoulder")))

_BLAZEPOSE = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right"),
    *_both("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index"),
)
_BLAZEPOSE_EDGES = (
    *_LIMB_EDGES,
    *_GIRDLES,
    *_edges(("wrist", "pinky"), ("wrist", "index"), ("wrist", "thumb"), ("pinky", "index")),
    *_edges(("ankle", "heel"), ("heel", "foot_index"), ("ankle", "foot_index")),
    *(("nose", "left_eye_inner"), ("left_eye_inner", "left_eye"), ("left_eye", "left_eye_outer")),
    *(("nose", "right_eye_inner"), ("right_eye_inner", "right_eye"), ("right_eye", "right_eye_outer")),
    *(("left_eye_outer", "left_ear"), ("right_eye_outer", "right_ear"), ("mouth_left", "mouth_right")),
)
# Landmarks on the hand are its knuckles; the foot's index is the tip of the foot, OpenPose's big toe nearly.
_BLAZEPOSE_MEANS: dict[str, tuple[str, ...]] = {
    **{f"{side}_pinky": (f"{side}_pinky1",) for side in ("left", "right")},
    **{f"{side}_index": (f"{side}_index1",) for side in ("left", "right")},
    **{f"{side}_thumb": (f"{side}_thumb2",) for side in ("left", "right")},
    **{f"{side}_foot_index": (f"{side}_big_toe",) for side in ("left", "right")},
}

_OPENPOSE = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)
_OPENPOSE_TREE = {
    **{"neck": "mid_hip", "nose": "neck"},
    **_sides(
        {
            **{"shoulder": "=neck", "elbow": "shoulder", "wrist": "elbow", "hip": "=mid_hip", "knee": "hip"},
            **{"ankle": "knee", "eye": "=nose", "ear": "eye", "big_toe": "ankle", "small_toe": "big_toe"},
            **{"heel": "ankle"},
        }
    ),
}

_H36M = (
    *("root", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax"),
    *("nose", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
)
_H36M_TREE = {
    **{"spine": "root", "thorax": "spine", "nose": "thorax", "head": "nose"},
    **_sides(
        {"hip": "=root", "knee": "hip", "ankle": "knee", "shoulder": "=thorax", "elbow": "shoulder", "wrist": "elbow"}
    ),
}

# SMPL-X's 21 points on the skin, in smplx's order, behind its 55 joints. Its eyes are eyeball centres; the
# points called reye and leye there lie on the surface of the eyeballs and are what 2D keypoints mark.
_SKIN21 = (
    *("nose", "right_eye_surface", "left_eye_surface", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
    *(f"{side}_{finger}_tip" for side in ("left", "right") for finger in ("thumb", "index", "middle", "ring", "pinky")),
)
_SKIN21_TREE = {
    **{"nose": "head", "right_eye_surface": "right_eye", "left_eye_surface": "left_eye"},
    **_sides({"ear": "=head", "big_toe": "foot", "small_toe": "foot", "heel": "ankle"}),
    **_sides({f"{finger}_tip": f"{finger}3" for finger in ("thumb", "index", "middle", "ring", "pinky")}),
}
_SMPLX55 = (*_BODY22, "jaw", "left_eye", "right_eye", *_HANDS)
_SMPLX_TREE = {**_SMPL_TREE, **_FACE, **_HAND_TREE}

SKELETONS: dict[str, Table] = {
    "smpl24": (
        (*_BODY22, "left_hand", "right_hand"),
        {**_SMPL_TREE, "left_hand": "left_wrist", "right_hand": "right_wrist"},
        (),
        {},
    ),
    "smplh52": ((*_BODY22, *_HANDS), {**_SMPL_TREE, **_HAND_TREE}, (), {}),
    "smplx55": (
        _SMPLX55,
        _SMPLX_TREE,
        (),
        {"left_eye": ("left_eyeball", "left_eye"), "right_eye": ("right_eyeball", "right_eye")},
    ),
    "smplx76": (
        (*_SMPLX55, *_SKIN21),
        {**_SMPLX_TREE, **_SKIN21_TREE},
        (),
        {
            **{"left_eye_surface": ("left_eye",), "right_eye_surface": ("right_eye",)},
            **{"left_eye": ("left_eyeball",), "right_eye": ("right_eyeball",)},
        },
    ),
    "coco17": (
        _COCO,
        {},
        (
            *_LIMB_EDGES,
            *_GIRDLES,
            ("nose", "left_eye"),
            ("nose", "right_eye"),
            *_edges(("eye", "ear"), ("ear", "shoulder")),
        ),
        {},
    ),
    "blazepose33": (_BLAZEPOSE, {}, _BLAZEPOSE_EDGES, _BLAZEPOSE_MEANS),
    "openpose25": (_OPENPOSE, _OPENPOSE_TREE, (), {"mid_hip": ("pelvis",)}),
    "h36m17": (_H36M, _H36M_TREE, (), {"root": ("pelvis",), "head": ("head_top",), "spine": (), "thorax": ()}),
}
