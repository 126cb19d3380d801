"""Body files made to harm: each ends in one clear line before anything is run or allocated."""

import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile

import numpy as np
import pytest
from official import official, save_npz, save_pkl

from monocap.bodies import load_body
from monocap.cli import main
from monocap.errors import InputError


class Calls:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize(
    "call", [(os.system, "true"), (eval, "1"), (getattr, os, "system"), (subprocess.Popen, ["true"]), (exec, "x = 1")]
)
def test_pickles_that_call_are_refused(call, tmp_path, rng, capsys):
    content = {**official("smpl", rng, 40), "posedirs": Calls(*call)}
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    try:
        path.write_bytes(pickle.dumps(content, 2))
    except (TypeError, pickle.PicklingError):  # a module does not pickle: by name then
        path.write_bytes(b"c__builtin__\ngetattr\n(cos\nsystem\nS'__call__'\ntR.")
    assert main(["bodies", "add", str(path)]) == 2
    error = capsys.readouterr().err
    assert "wants to call" in error
    assert len(error.splitlines()) == 1


def test_chains_of_attributes_are_refused(tmp_path):
    for name in (b"chumpy.ch\nCh.__init__.__globals__", b"numpy\ncore.multiarray", b"scipy.sparse\nos.system"):
        path = tmp_path / "x.pkl"
        path.write_bytes(b"\x80\x04c" + name + b"\n.")
        with pytest.raises(InputError, match="wants to call"):
            load_body(path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("(10000000000, 3)", "v_template has shape"),
        ("(150000, 3)", "shape|declares"),
        ("(-5, 3)", "shape|not a readable"),
    ],
)
def test_arrays_larger_than_they_are(shape, message, tmp_path, rng):
    """The header lies; nothing of that size is made."""
    path = tmp_path / "SMPL_NEUTRAL.npz"
    save_npz(path, official("smpl", rng, 40))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    members["v_template.npy"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(960)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            load_body(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_zip_bombs_are_refused_before_they_are_unpacked(tmp_path, rng):
    """An array of the right shape that unpacks to 2.2 GB: 200 000 vertices with all their columns."""
    arrays = official("smplx", rng, 40)
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    count, columns = 200_000, 900
    shapes = {
        "v_template": (count, 3), "weights": (count, 55), "J_regressor": (55, count), "shapedirs": (count, 3, columns),
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for key, array in arrays.items():
            if key in shapes:  # the directory declares all of it; only the beginning is there
                header = (
                    f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shapes[key]}, }}".ljust(117).encode() + b"\n"
                )
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
                archive.writestr(f"{key}.npy", content)
                archive.filelist[-1].file_size = len(content) + 4 * int(np.prod(shapes[key]))
            elif key != "posedirs":
                with archive.open(f"{key}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(array))
    with pytest.raises(InputError, match="more than the allowed"):
        load_body(path)


def test_objects_where_numbers_belong(tmp_path, rng):
    arrays = official("smpl", rng, 40)
    for key, value in (
        ("v_template", np.array([{"a": 1}] * 40, dtype=object)),
        ("kintree_table", np.full((2, 24), np.nan)),
        ("weights", np.full((40, 24), np.nan)),
        ("f", np.full((600, 3), 10**6)),
        ("shapedirs", np.full((40, 3, 10), 1e300)),
        ("J_regressor", np.array([["x"] * 40] * 24)),
    ):
        for save in (save_npz, save_pkl):
            if save is save_pkl and key == "J_regressor":
                continue  # no sparse matrix of text
            path = save(tmp_path / f"bad_{key}{'.npz' if save is save_npz else '.pkl'}", {**arrays, key: value})
            with pytest.raises(InputError) as caught:
                load_body(path)
            assert key in str(caught.value), caught.value
