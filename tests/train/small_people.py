"""Small data sets for training on pictures: rendered people, and the same people with 2D keypoints alone, as COCO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from monocap import skeletons
from monocap.data.synthetic import read_synthetic
from monocap.synth.sampler import SynthSettings
from monocap.synth.shards import ShardPlan, write_shards

SETTINGS = SynthSettings(seed=5, size=(96, 96), people=(1, 2), quality="fast")


def write_synthetic(folder: Path, count: int = 12) -> Path:
    write_shards(ShardPlan(SETTINGS, count, per_shard=4), folder, workers=0)
    return folder


def write_coco(synthetic: Path, folder: Path) -> Path:
    """An annotation file as COCO's of the same pictures."""
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    at, to = skeletons.mapping("smplx127", "coco17")
    images, people = [], []
    for number, sample in enumerate(read_synthetic(synthetic)):
        assert isinstance(sample.image, np.ndarray)
        assert sample.joints2d is not None
        assert sample.box is not None
        Image.fromarray(sample.image).save(folder / "val2017" / f"{number:012d}.png")
        points = np.zeros((17, 3))
        points[to] = sample.joints2d[at]
        points[:, 2] *= 2
        x0, y0, x1, y1 = sample.box
        images.append({"id": number, "file_name": f"{number:012d}.png", "width": 96, "height": 96})
        people.append(
            {
                "id": number, "image_id": number, "iscrowd": 0, "keypoints": points.reshape(-1).tolist(),
                "bbox": [x0, y0, x1 - x0, y1 - y0], "category_id": 1, "num_keypoints": int((points[:, 2] > 0).sum()),
            }
        )  # fmt: skip
    path = folder / "annotations" / "person_keypoints_val2017.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path
