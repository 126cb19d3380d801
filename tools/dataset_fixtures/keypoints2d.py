"""COCO (+WholeBody), MPII, LSP, LSPET and PoseTrack in their official file formats, with synthetic people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from people import Scene, scene, write_picture
from scipy.io import savemat

from monocap import skeletons


def _triples(points: np.ndarray, visible: np.ndarray) -> list[float]:
    """x, y, v of every point; hidden ones are 0, 0, 0 as COCO writes them."""
    rows = np.concatenate([points, visible[:, None]], axis=1) * (visible[:, None] > 0)
    return [float(v) for v in rows.ravel()]


def write_coco(folder: Path, wholebody: bool = False) -> tuple[Path, Scene]:
    """``annotations/person_keypoints_val2017.json`` (or WholeBody's) and ``val2017``: two people and a crowd."""
    made = scene(2, seed=3)
    points = made.joints("coco133" if wholebody else "coco17", "pixels")
    images, annotations = [], []
    for i in range(2):
        name = f"{139 + i:012d}.jpg"
        write_picture(folder / "val2017" / name, made.size)
        images.append({"id": 139 + i, "file_name": name, "width": made.size[0], "height": made.size[1], "license": 3})
        visible = np.full(points.shape[1], 2.0)
        visible[3], visible[9] = 0, 1  # an ear nobody labelled, a wrist that is hidden
        low, high = points[i].min(axis=0), points[i].max(axis=0)
        entry: dict[str, Any] = {
            "id": 1700 + i,
            "image_id": 139 + i,
            "category_id": 1,
            "iscrowd": 0,
            "num_keypoints": 16,
            "bbox": [*low.tolist(), *(high - low).tolist()],
            "area": float(np.prod(high - low)),
            "segmentation": [],
            "keypoints": _triples(points[i, :17], visible[:17]),
        }
        if wholebody:
            for key, start, stop in (
                *(("foot_kpts", 17, 23), ("face_kpts", 23, 91)),
                *(("lefthand_kpts", 91, 112), ("righthand_kpts", 112, 133)),
            ):
                entry[key] = _triples(points[i, start:stop], visible[start:stop])
                entry[key.replace("_kpts", "_valid")] = True
        annotations.append(entry)
    crowd = {**annotations[0], "id": 9001, "iscrowd": 1, "num_keypoints": 0}
    crowd["segmentation"] = {"counts": [1, 2], "size": [480, 640]}
    for key in [key for key in crowd if key == "keypoints" or key.endswith("_kpts")]:
        crowd[key] = [0] * len(crowd[key])
    name = "coco_wholebody_val_v1.0.json" if wholebody else "person_keypoints_val2017.json"
    path = folder / "annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    keypoints = list(skeletons.get("coco17").joint_names)
    content = {
        "info": {"year": 2017},
        "images": images,
        "annotations": [*annotations, crowd],
        "categories": [{"id": 1, "name": "person", "keypoints": keypoints}],
    }
    path.write_text(json.dumps(content))
    return path, made


def struct_array(rows: list[dict[str, Any]]) -> np.ndarray:
    """A MATLAB structure array (1,n); fields that a row lacks are empty."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    out = np.empty((1, len(rows)), dtype=[(key, object) for key in keys])
    for i, row in enumerate(rows):
        for key in keys:
            out[0, i][key] = row.get(key, np.zeros((0, 0)))
    return out


def write_mpii(folder: Path) -> tuple[Path, Scene]:
    """``mpii_human_pose_v1_u12_1.mat``: three pictures: two people; one person without visibility; a test picture."""
    made = scene(3, seed=4)
    points = made.joints("mpii16", "pixels") + 1  # MATLAB counts from 1

    def person(i: int, joints: range, flags: bool) -> dict[str, Any]:
        rows = []
        for joint in joints:
            x, y = points[i, joint]
            row: dict[str, Any] = {"x": x, "y": y, "id": float(joint)}
            if flags:
                row["is_visible"] = 0.0 if joint == 9 else 1.0
            rows.append(row)
        head = {"x1": points[i, 9, 0] - 20, "y1": points[i, 9, 1], "x2": points[i, 9, 0] + 20, "y2": points[i, 8, 1]}
        place = {"x": points[i, 6, 0], "y": points[i, 6, 1]}
        return {**head, "annopoints": {"point": struct_array(rows)}, "scale": 1.5, "objpos": place}

    test = {"scale": 1.5, "objpos": {"x": points[2, 6, 0], "y": points[2, 6, 1]}}
    pictures = [
        {"image": {"name": "015601864.jpg"}, "annorect": struct_array([person(0, range(16), True), test])},
        {"image": {"name": "015599452.jpg"}, "annorect": struct_array([person(1, range(2, 16), False)])},
        {"image": {"name": "005808361.jpg"}, "annorect": struct_array([test])},
    ]
    for entry in pictures:
        write_picture(folder / "images" / entry["image"]["name"], made.size)
    release = {
        "annolist": struct_array(pictures),
        "img_train": np.array([[1, 1, 0]], dtype=np.uint8),
        "version": "12",
        "single_person": np.zeros((3, 1)),
    }
    path = folder / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": release})
    return path, made


def write_mpii_json(folder: Path) -> tuple[Path, Scene]:
    """``annot/train.json`` of single people, coordinates from 1, missing joints at -1."""
    made = scene(2, seed=4)
    points = made.joints("mpii16", "pixels") + 1
    people = []
    for i in range(2):
        joints, seen = points[i].copy(), [1] * 16
        joints[0], seen[0] = -1, 0
        name = f"0156018{i:02d}.jpg"
        write_picture(folder / "images" / name, made.size)
        people.append(
            {"joints_vis": seen, "joints": joints.tolist(), "image": name, "scale": 2.1, "center": [320.0, 240.0]}
        )
    path = folder / "annot" / "train.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(people))
    return path, made


def write_lsp(folder: Path, extended: bool = False) -> tuple[Path, Scene]:
    """``joints.mat`` (3,14,n), or LSPET's (14,3,n), and ``images/im0001.jpg`` …; the last joint of all is unseen."""
    made = scene(4, seed=5)
    points = made.joints("lsp14", "pixels")
    third = np.ones((4, 14)) if extended else np.zeros((4, 14))
    third[3, 13] = 0 if extended else 1
    table = np.concatenate([points, third[..., None]], axis=2)  # picture, joint, (x, y, flag)
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "joints.mat", {"joints": table.transpose(1, 2, 0) if extended else table.transpose(2, 1, 0)})
    for i in range(4):
        write_picture(folder / "images" / f"im{i + 1:0{5 if extended else 4}d}.jpg", made.size)
    return folder, made


def write_posetrack(folder: Path) -> tuple[Path, Scene]:
    """``annotations/val/000342_mpii_test.json`` and its pictures: one track, ears never annotated, one damaged file."""
    made = scene(3, seed=6)
    points = made.joints("posetrack17", "pixels")
    images, annotations = [], []
    for i in range(3):
        name = f"images/val/000342_mpii_test/{i:06d}.jpg"
        write_picture(folder / name, made.size)
        image = 10003420000 + i
        images.append(
            {"id": image, "frame_id": image, "file_name": name, "vid_id": "000342", "is_labeled": True, "nframes": 3}
        )
        visible = np.ones(17)
        visible[[3, 4]] = 0
        low, high = points[i].min(axis=0), points[i].max(axis=0)
        annotations.append(
            {
                "id": 100034200 + i,
                "image_id": image,
                "track_id": 7,
                "category_id": 1,
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "bbox_head": [300, 100, 40, 50],
                "scores": [],
                "keypoints": _triples(points[i], visible),
            }
        )
    names = list(skeletons.get("posetrack17").joint_names)
    content = {"images": images, "annotations": annotations, "categories": [{"name": "person", "keypoints": names}]}
    path = folder / "annotations" / "val" / "000342_mpii_test.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    (path.parent / "000522_mpii_test.json").write_text('{"images": [')
    return folder, made
