"""The tables: joints in order, parent of each by name, edges to draw, and names that mean something else elsewhere.

Sources: smplx (kinematic tree and joint order), COCO keypoint challenge, OpenPose BODY_25 and BODY_25B, Halpe-FullBody,
MediaPipe Pose (BlazePose, 33 landmarks), iBUG's 68 points of the face, Human3.6M in the order of 17 joints with the
right leg first.
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

# ------------------------------------------------------------------ joint sets of the data sets
_LSP = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
)
_LSP_TREE = {
    **{"head_top": "neck"},
    **_sides({"elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee", "shoulder": "=neck"}),
}
# The 24 ground-truth joints of SPIN, VIBE and HMR 2.0, a superset of LSP, MPII, H36M and COCO.
_SPIN24 = (
    *(*_LSP, "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head"),
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
)
_OPENPOSE18 = (*_OPENPOSE[:8], *_OPENPOSE[9:19])  # its COCO model: no middle of the hips, no feet
_MPII = (*_LSP[:6], "pelvis", "thorax", "upper_neck", "head_top", *_LSP[6:])
_MPII_TREE = {
    **{"thorax": "pelvis", "upper_neck": "thorax", "head_top": "upper_neck"},
    **_sides({"hip": "=pelvis", "knee": "hip", "ankle": "knee"}),
    **_sides({"shoulder": "=thorax", "elbow": "shoulder", "wrist": "elbow"}),
}
_POSETRACK = ("nose", "head_bottom", "head_top", *_both("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))

# MPI-INF-3DHP: all 28 joints of annot.mat, and the 17 of its test set.
_3DHP28 = (
    *("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top"),
    *(f"{side}_{name}" for side in ("left", "right") for name in ("clavicle", "shoulder", "elbow", "wrist", "hand")),
    *(f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "foot", "toe")),
)
_3DHP28_TREE = {
    **{"spine": "pelvis", "spine2": "spine", "spine3": "spine2", "spine4": "spine3", "neck": "spine4"},
    **{"head": "neck", "head_top": "head"},
    **_sides({"clavicle": "=spine4", "shoulder": "clavicle", "elbow": "shoulder", "wrist": "elbow", "hand": "wrist"}),
    **_sides({"hip": "=pelvis", "knee": "hip", "ankle": "knee", "foot": "ankle", "toe": "foot"}),
}
# VNect's 21 joints, out of the 28: the pelvis, which the others hang on, comes fifteenth.
_VNECT21 = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
    *("right_hand", "left_hand", "right_toe", "left_toe"),
)
_VNECT21_TREE = {
    **{"spine": "pelvis", "neck": "spine", "head": "neck", "head_top": "head"},
    **_sides({"shoulder": "=neck", "elbow": "shoulder", "wrist": "elbow", "hand": "wrist"}),
    **_sides({"hip": "=pelvis", "knee": "hip", "ankle": "knee", "toe": "ankle"}),
}
# Places of these two only, whose names mean others elsewhere.
_3DHP_MEANS = {name: (f"3dhp_{name}",) for name in ("spine", "head", *_both("hand", "toe"))}
_3DHP17 = (
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "root", "spine", "head"),
)
_3DHP17_TREE = {
    **{"spine": "root", "neck": "spine", "head": "neck", "head_top": "head"},
    **_sides({"hip": "=root", "knee": "hip", "ankle": "knee"}),
    **_sides({"shoulder": "=neck", "elbow": "shoulder", "wrist": "elbow"}),
}

# Human3.6M's mocap skeleton: 32 entries, of which several repeat a place (hence 17 in use). Names after the 17.
_H36M32 = (
    *("root", "right_hip", "right_knee", "right_ankle", "right_toe_base", "right_toe_end"),
    *("left_hip", "left_knee", "left_ankle", "left_toe_base", "left_toe_end", "spine_base", "spine", "thorax"),
    *("nose", "head", "left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_thumb_base", "left_thumb_end"),
    *("left_wrist_end", "left_hand_end", "right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    *("right_thumb_base", "right_thumb_end", "right_wrist_end", "right_hand_end"),
)
_H36M32_TREE = {
    **{"spine_base": "root", "spine": "spine_base", "thorax": "spine", "nose": "thorax", "head": "nose"},
    **_sides({"hip": "=root", "knee": "hip", "ankle": "knee", "toe_base": "ankle", "toe_end": "toe_base"}),
    **_sides({"collar": "=thorax", "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow"}),
    **_sides({"thumb_base": "wrist", "thumb_end": "thumb_base", "wrist_end": "wrist", "hand_end": "wrist_end"}),
}
_H36M_MEANS: dict[str, tuple[str, ...]] = {
    **{"root": ("pelvis",), "head": ("head_top",), "spine": (), "thorax": ()},
    **{f"{side}_collar": () for side in ("left", "right")},  # lies at the neck
}

# COCO-WholeBody: body, feet, the 68 face points of iBUG (named so that left and right exchange), both hands.
_FACE68 = (
    *(f"right_contour{k}" for k in range(8)),
    "chin",
    *(f"left_contour{k}" for k in reversed(range(8))),
    *(f"right_brow{k}" for k in range(5)),
    *(f"left_brow{k}" for k in reversed(range(5))),
    *(f"nose_bridge{k}" for k in range(4)),
    *("right_nostril1", "right_nostril0", "nose_base", "left_nostril0", "left_nostril1"),
    *(f"right_{name}" for name in ("eye_outer", "lid0", "lid1", "eye_inner", "lid2", "lid3")),
    *(f"left_{name}" for name in ("eye_inner", "lid1", "lid0", "eye_outer", "lid3", "lid2")),
    *("right_mouth", "right_lip0", "right_lip1", "lip_top", "left_lip1", "left_lip0", "left_mouth"),
    *("left_lip2", "left_lip3", "lip_bottom", "right_lip3", "right_lip2"),
    *("right_inner_mouth", "right_inner_lip0", "inner_lip_top", "left_inner_lip0", "left_inner_mouth"),
    *("left_inner_lip1", "inner_lip_bottom", "right_inner_lip1"),
)
_HAND21 = (
    "hand_root",
    *(f"{finger}{k}" for finger in ("thumb", "index", "middle", "ring", "pinky") for k in ("1", "2", "3", "_tip")),
)
_FEET6 = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("big_toe", "small_toe", "heel"))
_COCO133 = (*_COCO, *_FEET6, *_FACE68, *(f"{side}_{name}" for side in ("left", "right") for name in _HAND21))

# Halpe (AlphaPose): COCO's 17, the top of the head, neck, middle of the hips, feet; with face and hands 136.
_HALPE26 = (*_COCO, "head_top", "neck", "mid_hip", *_both("big_toe", "small_toe", "heel"))
_HALPE136 = (*_HALPE26, *_FACE68, *(f"{side}_{name}" for side in ("left", "right") for name in _HAND21))
# OpenPose's experimental BODY_25B: COCO's 17, the head's two ends, feet.
_OPENPOSE25B = (*_COCO, "upper_neck", "head_top", *_FEET6)

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
_SMPL24 = (*_BODY22, "left_hand", "right_hand")
_SMPL24_TREE = {**_SMPL_TREE, "left_hand": "left_wrist", "right_hand": "right_wrist"}
# A keypoint set marks the surface of the eye where SMPL-X's joint of that name is the centre of the eyeball.
_EYES = {
    **{f"{side}_eye_surface": (f"{side}_eye",) for side in ("left", "right")},
    **{f"{side}_eye": (f"{side}_eyeball",) for side in ("left", "right")},
}
# The face as smplx appends it: brows to lips (iBUG 17-67) first, the contour (iBUG 0-16) after them.
_LANDMARKS51, _CONTOUR17 = _FACE68[17:], _FACE68[:17]
_SMPLX144 = (*_SMPLX55, *_SKIN21, *_LANDMARKS51, *_CONTOUR17)
# A single hand has no side; neither has it in the names. The tips are in smplx's order, thumb first.
_MANO21 = ("wrist", *_FINGERS, *(f"{finger}_tip" for finger in ("thumb", "index", "middle", "ring", "pinky")))
_MANO_TREE = {
    **{name: "wrist" if name[-1] == "1" else f"{name[:-1]}{int(name[-1]) - 1}" for name in _FINGERS},
    **{f"{finger}_tip": f"{finger}3" for finger in ("thumb", "index", "middle", "ring", "pinky")},
}
_FLAME73 = ("root", "neck", "jaw", "left_eye", "right_eye", *_LANDMARKS51, *_CONTOUR17)
_FLAME_TREE = {"neck": "root", "jaw": "neck", "left_eye": "neck", "right_eye": "neck"}
_FLAME_MEANS = {f"{side}_eye": (f"{side}_eyeball", f"{side}_eye") for side in ("left", "right")}
_FOOT_EDGES = _edges(("ankle", "heel"), ("ankle", "big_toe"), ("big_toe", "small_toe"))
# OpenPose's body, both hands, face without and with contour: what SMPLify-X fits. A hand's root is the wrist.
_OPENPOSE_HANDS = tuple(f"{side}_{name}" for side in ("left", "right") for name in _HAND21)
_OPENPOSE135 = (*_OPENPOSE, *_OPENPOSE_HANDS, *_LANDMARKS51, *_CONTOUR17)
_OPENPOSE_MEANS: dict[str, tuple[str, ...]] = {
    "mid_hip": ("pelvis",),
    **{f"{side}_hand_root": (f"{side}_wrist",) for side in ("left", "right")},
}

SKELETONS: dict[str, Table] = {
    "smpl24": (_SMPL24, _SMPL24_TREE, (), {}),
    "smpl45": ((*_SMPL24, *_SKIN21), {**_SMPL24_TREE, **_SKIN21_TREE}, (), _EYES),
    "smplh52": ((*_BODY22, *_HANDS), {**_SMPL_TREE, **_HAND_TREE}, (), {}),
    "smplx55": (
        _SMPLX55,
        _SMPLX_TREE,
        (),
        {"left_eye": ("left_eyeball", "left_eye"), "right_eye": ("right_eyeball", "right_eye")},
    ),
    "smplh73": ((*_BODY22, *_HANDS, *_SKIN21), {**_SMPL_TREE, **_HAND_TREE, **_SKIN21_TREE}, (), _EYES),
    **{f"smplx{n}": (_SMPLX144[:n], {**_SMPLX_TREE, **_SKIN21_TREE}, (), _EYES) for n in (76, 127, 144)},
    **{f"mano{n}": (_MANO21[:n], _MANO_TREE, (), {}) for n in (16, 21)},
    **{f"flame{n}": (_FLAME73[:n], _FLAME_TREE, (), _FLAME_MEANS) for n in (5, 56, 73)},
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
    **{f"openpose{n}": (_OPENPOSE135[:n], _OPENPOSE_TREE, (), _OPENPOSE_MEANS) for n in (67, 118, 135)},
    "h36m17": (_H36M, _H36M_TREE, (), {"root": ("pelvis",), "head": ("head_top",), "spine": (), "thorax": ()}),
    "h36m32": (_H36M32, _H36M32_TREE, (), _H36M_MEANS),
    "3dhp28": (
        _3DHP28,
        _3DHP28_TREE,
        (),
        dict.fromkeys(("spine2", "spine3", "spine4", *_both("clavicle", "foot")), ()) | _3DHP_MEANS,
    ),
    "vnect21": (_VNECT21, _VNECT21_TREE, (), _3DHP_MEANS),
    "3dhp17": (_3DHP17, _3DHP17_TREE, (), {"root": ("pelvis",), "spine": (), "head": ()}),
    "lsp14": ((*_LSP, "neck", "head_top"), _LSP_TREE, (*_LIMB_EDGES, ("neck", "head_top"), *_GIRDLES), {}),
    "spin24": (
        _SPIN24,
        {},
        (*_LIMB_EDGES, *_GIRDLES, ("neck", "head_top")),
        dict.fromkeys(("thorax", "spine", "jaw", "head"), ()),
    ),
    "openpose25b": (_OPENPOSE25B, {}, (*_LIMB_EDGES, *_GIRDLES, *_FOOT_EDGES), {"upper_neck": ("neck",)}),
    "halpe26": (_HALPE26, {}, (*_LIMB_EDGES, *_GIRDLES, *_FOOT_EDGES), _OPENPOSE_MEANS),
    "halpe136": (_HALPE136, {}, (*_LIMB_EDGES, *_GIRDLES, *_FOOT_EDGES), _OPENPOSE_MEANS),
    "openpose18": (_OPENPOSE18, {}, (*_LIMB_EDGES, *_GIRDLES, ("neck", "nose")), {}),
    "mpii16": (_MPII, _MPII_TREE, (), {"upper_neck": ("neck",), "thorax": ()}),
    "posetrack17": (_POSETRACK, {}, (*_LIMB_EDGES, *_GIRDLES), {"head_bottom": ("neck",)}),
    "coco133": (
        _COCO133,
        {},
        (*_LIMB_EDGES, *_GIRDLES),
        {f"{side}_hand_root": (f"{side}_wrist",) for side in ("left", "right")},
    ),
}
