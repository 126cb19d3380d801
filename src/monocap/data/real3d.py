"""real3d_dev: eight real pictures of Human3.6M and MPI-INF-3DHP with 3D truth, for measuring during development."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monocap import skeletons
from monocap.data.dataset import Collection, Part
from monocap.data.fields import array, read_json, records, text
from monocap.data.sample import DatasetInfo, Sample
from monocap.errors import InputError

INFO = DatasetInfo(
    name="real3d_dev",
    licence="academic (Human3.6M, MPI-INF-3DHP): for measuring only",
    source="http://vision.imar.ro/human3.6m, https://vcai.mpi-inf.mpg.de/3dhp-dataset",
    skeleton="h36m17",
    description="four pictures each; the second four have skeleton 3dhp17",
)
_SKELETONS = ("h36m17", "3dhp17")


def read_real3d(folder: str | os.PathLike[str]) -> Collection:
    """The folder with ``annotations.json`` and its pictures: joints in the camera frame, metres; sequence = data set.

    Boxes are squares with a margin of 20 % (``notes["box_margin"]``). Raises InputError if the file is anything else.
    """
    folder = Path(folder)
    path = folder / "annotations.json"
    parts: dict[str, list[Sample]] = {}
    for number, entry in enumerate(records(read_json(path), path)):
        where = f"{path}: entry {number}"
        names = tuple(str(name) for name in entry.get("joint_names", ()))
        skeleton = next((s for s in _SKELETONS if skeletons.get(s).joint_names == names), None)
        if skeleton is None:
            raise InputError(f"{where}: joint names {', '.join(names) or 'absent'}; expected those of h36m17 or 3dhp17")
        focal, middle = array(entry, "focal_px", (2,), where), array(entry, "principal_point_px", (2,), where)
        points = array(entry, "joints2d_px", (len(names), 2), where)
        source = text(entry, "dataset", where)
        parts.setdefault(source, []).append(
            Sample(
                info=INFO,
                image=folder / Path(text(entry, "image", where)).name,
                box_center=array(entry, "box_center_px", (2,), where),
                box_size=np.full(2, 200.0 * float(array(entry, "box_scale_200px", (), where))),
                K=np.array([[focal[0], 0.0, middle[0]], [0.0, focal[1], middle[1]], [0.0, 0.0, 1.0]]),
                joints3d=array(entry, "joints_m", (len(names), 3), where),
                joints3d_valid=np.ones(len(names), dtype=bool),
                skeleton3d=skeleton,
                joints2d=np.concatenate([points, np.ones((len(names), 1))], axis=1),
                skeleton2d=skeleton,
                sequence=source,
                frame=number,
                subject=text(entry, "image", where).split("_")[0],
                notes={"box_margin": 1.2},
            )
        )
    return Collection(INFO, [Part.of(source, samples) for source, samples in parts.items()])
