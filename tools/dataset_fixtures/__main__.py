"""``python tools/dataset_fixtures FOLDER``: a tiny example of every data set's official files, in a folder each."""

from __future__ import annotations

import sys
from pathlib import Path

import keypoints2d
import mocap

import bodies

WRITERS = {
    "coco": keypoints2d.write_coco,
    "coco-wholebody": lambda folder: keypoints2d.write_coco(folder, wholebody=True),
    "mpii": keypoints2d.write_mpii,
    "mpii-json": keypoints2d.write_mpii_json,
    "lsp": keypoints2d.write_lsp,
    "lspet": lambda folder: keypoints2d.write_lsp(folder, extended=True),
    "posetrack": keypoints2d.write_posetrack,
    "human3.6m": mocap.write_h36m,
    "human3.6m-json": mocap.write_h36m_json,
    "mpi-inf-3dhp": mocap.write_3dhp_train,
    "mpi-inf-3dhp-test": mocap.write_3dhp_test,
    "3dpw": bodies.write_3dpw,
    "emdb": bodies.write_emdb,
    "amass": bodies.write_amass,
    "bedlam": bodies.write_bedlam,
    "agora": bodies.write_agora,
    "ehf": bodies.write_ehf,
    "spin-npz": bodies.write_spin,
}

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, write in WRITERS.items():
        write(Path(sys.argv[1]) / name)
        print(name)
