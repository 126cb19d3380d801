"""3DPW, EMDB, AMASS, BEDLAM, AGORA, EHF and SPIN's npz in their file formats, with synthetic people."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from people import Scene, scene, write_old_pickle, write_picture

from monocap.bodies import load_body
from monocap.data.ehf import SIZE, T_CAMERA_WORLD, K
from monocap.geometry import transforms
from monocap.geometry.cameras import intrinsics, project
from monocap.geometry.transforms import move_body


def _smpl_pose(made: Scene) -> np.ndarray:
    """(T,72): the root and 21 joints, hands at rest."""
    return np.concatenate([made.global_orient, made.body_pose, np.zeros((len(made.world), 6))], axis=1)


def _smpl_joints(made: Scene, where: str) -> np.ndarray:
    """(T,24,·): SMPL's hands lie at the knuckles of the middle finger."""
    source = getattr(made, where)
    return source[:, [*range(22), 28, 43]]


def write_3dpw(folder: Path, people: int = 2, frames: int = 4) -> list[Scene]:
    """``sequenceFiles/test/downtown_walking_00.pkl`` and pictures; the camera is lost in the last frame."""
    portrait = (1080, 1920)
    made = [scene(frames, seed=20 + p, size=portrait, focal=1960.0) for p in range(people)]
    points = np.zeros((people, frames, 3, 18))
    for p, person in enumerate(made):
        points[p, :, :2] = np.moveaxis(person.joints("openpose18", "pixels"), 2, 1)
        points[p, :, 2] = 0.9
        points[p, 1, 2] = 0.0  # nothing detected in the second frame
    valid = np.ones(frames, dtype=np.int64)
    valid[-1] = 0
    write_old_pickle(
        folder / "sequenceFiles" / "test" / "downtown_walking_00.pkl",
        {
            "sequence": "downtown_walking_00",
            "betas": [np.concatenate([person.betas, np.zeros(290)]) for person in made],
            "poses": [_smpl_pose(person) for person in made],
            "trans": [person.transl for person in made],
            "poses_60Hz": [np.zeros((2 * frames, 72)) for _ in made],
            "trans_60Hz": [np.zeros((2 * frames, 3)) for _ in made],
            "betas_clothed": [person.betas for person in made],
            "v_template_clothed": [np.zeros((10, 3)) for _ in made],
            "texture_maps": [],
            "genders": ["m", "f"][:people],
            "poses2d": [points[p] for p in range(people)],
            "jointPositions": [_smpl_joints(person, "world").reshape(frames, 72) for person in made],
            "img_frame_ids": np.arange(frames),
            "cam_poses": made[0].T_camera_world,
            "campose_valid": [valid.copy() for _ in made],
            "cam_intrinsics": made[0].K,
        },
    )
    for frame in range(frames):
        write_picture(folder / "imageFiles" / "downtown_walking_00" / f"image_{frame:05d}.jpg", portrait)
    return made


def write_emdb(folder: Path, frames: int = 4) -> Scene:
    """``P0/09_outdoor_walk/P0_09_outdoor_walk_data.pkl`` and pictures; the person is hidden in frame 2."""
    made = scene(frames, seed=30, size=(1440, 1920), focal=1450.0)
    points = _smpl_joints(made, "pixels")
    good = np.ones(frames, dtype=bool)
    good[2] = False
    base = folder / "P0" / "09_outdoor_walk"
    base.mkdir(parents=True, exist_ok=True)
    content = {
        "gender": "female",
        "name": "P0_09_outdoor_walk",
        "emdb1": True,
        "emdb2": False,
        "n_frames": frames,
        "good_frames_mask": good,
        "camera": {"intrinsics": made.K, "extrinsics": made.T_camera_world, "width": 1440, "height": 1920},
        "smpl": {
            "poses_root": made.global_orient,
            "poses_body": _smpl_pose(made)[:, 3:],
            "trans": made.transl,
            "betas": made.betas,
        },
        "kp2d": points,
        "bboxes": {
            "bboxes": np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
            "invalid_idxs": np.array([2]),
        },
    }
    (base / "P0_09_outdoor_walk_data.pkl").write_bytes(pickle.dumps(content, 4))
    for frame in range(frames):
        write_picture(base / "images" / f"{frame:05d}.jpg", (1440, 1920))
    return made


def write_amass(folder: Path, frames: int = 5) -> Scene:
    """``CMU/01/01_01_poses.npz`` (SMPL-H) and ``CMU/01/01_01_stageii.npz`` (SMPL-X), with ``shape.npz`` beside."""
    made = scene(frames, seed=40)
    base = folder / "CMU" / "01"
    base.mkdir(parents=True, exist_ok=True)
    body = np.concatenate([made.global_orient, made.body_pose], axis=1)
    betas = np.concatenate([made.betas, np.zeros(6)])
    hands = np.random.default_rng(1).normal(scale=0.1, size=(frames, 90))
    np.savez(
        base / "01_01_poses.npz",
        trans=made.transl,
        gender=np.array("male"),
        mocap_framerate=120.0,
        betas=betas,
        dmpls=np.zeros((frames, 8)),
        poses=np.concatenate([body, hands], axis=1),
    )
    face = np.full((frames, 9), 0.01)
    np.savez(
        base / "01_01_stageii.npz",
        gender=np.array("female"),
        surface_model_type=np.array("smplx"),
        mocap_frame_rate=100.0,
        mocap_time_length=frames / 100.0,
        trans=made.transl,
        poses=np.concatenate([body, face, hands], axis=1),
        betas=betas,
        num_betas=16,
        root_orient=made.global_orient,
        pose_body=made.body_pose,
        pose_hand=hands,
        pose_jaw=face[:, :3],
        pose_eye=face[:, 3:],
    )
    np.savez(base / "shape.npz", betas=betas, gender=np.array("male"))
    return made


def write_bedlam(folder: Path) -> Scene:
    """``labels/20221010_3_1000_batch01hand_6fps.npz``, ``training_images/SCENE/png/seq_000000/…``: three pictures."""
    made = scene(3, seed=50, size=(1280, 720), focal=900.0, fixed_camera=True)
    name = "20221010_3_1000_batch01hand_6fps"
    pelvis = load_body().rest_joints(betas=made.betas)[0].astype(np.float64)
    orient, transl = move_body(made.T_camera_world, made.global_orient, made.transl, np.tile(pelvis, (3, 1)))
    place = np.zeros((3, 4, 4))
    place[:, :3, :3], place[:, :3, 3], place[:, 3, 3] = np.eye(3), [0.2, 0.1, 3.0], 1.0
    pose = np.zeros((3, 165))
    pose[:, :3], pose[:, 3:66] = orient, made.body_pose
    points = np.zeros((3, 127, 3))
    points[:, :76, :2], points[..., 2] = made.pixels, 1.0
    points[:, 76:, :2] = made.pixels[:, :1]
    low, high = made.pixels[:, :22].min(axis=1), made.pixels[:, :22].max(axis=1)
    pictures = [f"seq_000000/seq_000000_{5 * i:04d}.png" for i in range(3)]
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "labels" / f"{name}.npz",
        imgname=np.array(pictures),
        center=(low + high) / 2,
        scale=1.2 * (high - low).max(axis=1) / 200,
        pose_cam=pose,
        pose_world=pose,
        shape=np.tile(made.betas, (3, 1)),
        trans_cam=transl - place[:, :3, 3],
        trans_world=transl,
        gtkps=points,
        cam_int=np.tile(made.K, (3, 1, 1)),
        cam_ext=place,
        gender=np.array(["female"] * 3),
        proj_verts=np.zeros((3, 5, 3)),
        motion_info=np.array(["walk"] * 3),
        sub=np.array(["rp_aaron_posed_002"] * 3),
    )
    for picture in pictures:
        write_picture(folder / "training_images" / name / "png" / picture, (1280, 720))
    return made


def write_ehf(folder: Path) -> Scene:
    """``01_…`` and ``02_…``: picture, OpenPose JSON, ``_align.ply`` (binary) and ``_scan.obj`` in EHF's world."""
    folder.mkdir(parents=True, exist_ok=True)
    made = scene(2, seed=60, fixed_camera=True)
    body = load_body()
    posed = body(
        betas=made.betas, global_orient=made.global_orient, body_pose=made.body_pose, transl=made.transl - [0, 1.2, 0]
    )
    joints = body.joints_only(
        betas=made.betas, global_orient=made.global_orient, body_pose=made.body_pose, transl=made.transl - [0, 1.2, 0]
    )
    pixels = project(transforms.apply(T_CAMERA_WORLD, joints.astype(np.float64)), K)
    for i in range(2):
        vertices = posed.vertices[i].astype("<f4")
        header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {len(vertices)}\n"
        header += "property float x\nproperty float y\nproperty float z\nelement face 0\n"
        header += "property list uchar int vertex_indices\nend_header\n"
        (folder / f"{i + 1:02d}_align.ply").write_bytes(header.encode() + vertices.tobytes())
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices[:100]]
        (folder / f"{i + 1:02d}_scan.obj").write_text("\n".join(["# scan", *lines, "f 1 2 3"]))
        points = np.zeros((25, 3))
        points[[8, 9, 12, 10, 13], :2] = pixels[i, [0, 2, 1, 5, 4]]
        points[[8, 9, 12, 10, 13], 2] = 0.8
        person = {"pose_keypoints_2d": points.ravel().tolist(), "face_keypoints_2d": [], "hand_left_keypoints_2d": []}
        (folder / f"{i + 1:02d}_2Djnt.json").write_text(json.dumps({"version": 1.1, "people": [person]}))
        write_picture(folder / f"{i + 1:02d}_img.jpg", SIZE)
    return made


def write_spin(folder: Path) -> Scene:
    """``3dpw_test.npz`` as SPIN's preprocessing makes it, with 2D and 3D joints of its 24."""
    made = scene(3, seed=70, fixed_camera=True)
    joints, points = made.joints("spin24"), made.joints("spin24", "pixels")
    ones = np.ones((3, 24, 1))
    low, high = points.min(axis=1), points.max(axis=1)
    names = [f"imageFiles/walk_00/image_{i:05d}.jpg" for i in range(3)]
    for name in names:
        write_picture(folder / name, made.size)
    np.savez(
        folder / "3dpw_test.npz",
        imgname=names,
        center=(low + high) / 2,
        scale=1.2 * (high - low).max(axis=1) / 200,
        S=np.concatenate([joints - joints[:, 14:15], ones], axis=2),
        part=np.concatenate([points, ones], axis=2),
        pose=_smpl_pose(made),
        shape=np.tile(made.betas, (3, 1)),
        gender=["m", "f", "m"],
    )
    return made


# ------------------------------------------------------------------ AGORA: a data frame as pandas 1.0-1.2 pickled it
class _DataFrame:
    def __init__(self, manager: Any) -> None:
        self.__dict__ = {"_mgr": manager, "_typ": "dataframe", "_metadata": [], "attrs": {}}


class _BlockManager:
    def __init__(self, axes: list[Any], blocks: list[dict[str, Any]]) -> None:
        self.axes, self.blocks = axes, blocks

    def __reduce__(self) -> Any:
        items = [self.axes[0] for _ in self.blocks]
        inner = {"0.14.1": {"axes": self.axes, "blocks": self.blocks}}
        return type(self), (), (self.axes, [block["values"] for block in self.blocks], items, inner)

    def __setstate__(self, state: Any) -> None:
        raise NotImplementedError


class _Index:
    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __reduce__(self) -> Any:
        return _new_index, (type(self), self.fields)


class _RangeIndex(_Index):
    pass


def _new_index(cls: type, fields: dict[str, Any]) -> Any:
    return cls(fields)


_PANDAS = {
    "pandas.core.frame": {"DataFrame": _DataFrame},
    "pandas.core.internals.managers": {"BlockManager": _BlockManager},
    "pandas.core.indexes.base": {"Index": _Index, "_new_Index": _new_index},
    "pandas.core.indexes.range": {"RangeIndex": _RangeIndex},
}


def pickle_data_frame(columns: dict[str, list[Any]]) -> bytes:
    """A data frame of object and number columns in pandas 1.0's layout, without pandas."""
    rows = len(next(iter(columns.values())))
    names = list(columns)
    numbers = [i for i, name in enumerate(names) if all(isinstance(v, float) for v in columns[name])]
    others = [i for i in range(len(names)) if i not in numbers]
    blocks = []
    if numbers:
        values = np.array([columns[names[i]] for i in numbers])
        blocks.append({"values": values, "mgr_locs": slice(numbers[0], numbers[-1] + 1, 1)})
    table = np.empty((len(others), rows), dtype=object)
    for row, i in enumerate(others):
        for column, value in enumerate(columns[names[i]]):
            table[row, column] = value
    blocks.append({"values": table, "mgr_locs": np.array(others)})
    title = np.empty(len(names), dtype=object)
    title[:] = names
    axes = [_Index({"data": title, "name": None}), _RangeIndex({"name": None, "start": 0, "stop": rows, "step": 1})]
    packages = ["pandas", "pandas.core", "pandas.core.internals", "pandas.core.indexes"]
    kept = {name: sys.modules.get(name) for name in (*packages, *_PANDAS)}
    before = {item: (item.__module__, item.__qualname__) for group in _PANDAS.values() for item in group.values()}
    try:
        for name in packages:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = []
        for module, group in _PANDAS.items():
            sys.modules[module] = ModuleType(module)
            for name, item in group.items():
                item.__module__, item.__qualname__ = module, name
                setattr(sys.modules[module], name, item)
        return pickle.dumps(_DataFrame(_BlockManager(axes, blocks)), 4)
    finally:
        for item, (module, name) in before.items():
            item.__module__, item.__qualname__ = module, name
        for name, old in kept.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old


def write_agora(folder: Path) -> Scene:
    """``validation_0_withjv.pkl`` (SMPL-X joints): one picture of two people, of which only the 720p version exists."""
    size = (3840, 2160)
    lens = intrinsics(50 / 36 * 3840, 50 / 20.25 * 2160, 1920, 1080)
    made = scene(2, seed=80, size=size, K=lens, fixed_camera=True)
    joints, points = np.zeros((2, 127, 3)), np.zeros((2, 127, 2))
    joints[:, :76], joints[:, 76:] = made.camera, made.camera[:, :1]
    points[:, :76], points[:, 76:] = made.pixels, made.pixels[:, :1]
    name = "ag_validationset_renderpeople_bfh_hdri_50mm_5_10_00000.png"
    frame = {
        "imgPath": [name],
        "camX": [0.0],
        "camYaw": [0.0],
        "X": [[10.0, -30.0]],
        "gender": [["male", "female"]],
        "kid": [[False, True]],
        "occlusion": [[10.0, 95.0]],
        "isValid": [[True, False]],
        "gt_path_smplx": [["a.obj", "b.obj"]],
        "gt_joints_2d": [[points[0], points[1]]],
        "gt_joints_3d": [[joints[0], joints[1]]],
        "gt_verts": [[np.zeros((5, 3)), np.zeros((5, 3))]],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "validation_0_withjv.pkl").write_bytes(pickle_data_frame(frame))
    write_picture(folder / name.replace(".png", "_1280x720.png"), (1280, 720))
    return made
