"""Pickles read as data: what Python 2, Python 3 and numpy of any age write comes back; hostile ones are refused."""

import os
import pickle
import struct
import subprocess
from collections import OrderedDict

import numpy as np
import pytest

from monocap.assets import pickles
from monocap.assets.pickles import Stub, loads, read_pickle
from monocap.errors import InputError


class Runs:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_what_numpy_writes_comes_back(protocol, rng):
    content = {
        "floats": rng.normal(size=(5, 3)),
        "fortran": np.asfortranarray(rng.normal(size=(4, 2)).astype(np.float32)),
        "big endian": np.arange(4, dtype=">i4"),
        "flags": np.array([True, False]),
        "text": np.array(["one", "zwölf"]),
        "objects": np.array([None, "a", 3], dtype=object),
        "scalar": np.float64(2.5),
        "flag": np.bool_(True),
        "list": [rng.normal(size=2), ("m", "f")],
        "ordered": OrderedDict(a=1),
        "bytes": b"\x00\xff",
        "empty": np.zeros((0, 3)),
        "slice": slice(1, 7, 2),
    }
    content["again"] = content["floats"]
    read = loads(pickle.dumps(content, protocol))
    assert list(read) == list(content)
    for key in ("floats", "fortran", "big endian", "flags", "text", "objects", "empty"):
        assert read[key].shape == content[key].shape
        assert (read[key] == content[key]).all()
        assert read[key].dtype.kind == content[key].dtype.kind
    assert read["again"] is read["floats"]
    assert read["scalar"] == 2.5
    assert bool(read["flag"])
    assert (read["list"][0] == content["list"][0]).all()
    assert read["list"][1] == ("m", "f")
    assert (read["bytes"], read["slice"], read["ordered"]) == (b"\x00\xff", slice(1, 7, 2), OrderedDict(a=1))


def test_python_2_text_is_latin1():
    # What Python 2's cPickle wrote for {'gender': ['m'], 'x': numpy.array([1.5])} at protocol 2.
    raw = struct.pack("<d", 1.5).decode("latin1").encode("latin1")
    data = (
        b"\x80\x02}q\x01(U\x06genderq\x02]q\x03U\x01maU\x01xcnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\n"
        b"q\x05K\x00\x85U\x01b\x87Rq\x06(K\x01K\x01\x85cnumpy\ndtype\nq\x07U\x02f8K\x00K\x01\x87Rq\x08(K\x03U\x01<NNNJ"
        b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + raw + b"tbu."
    )
    read = loads(data)
    assert read["gender"] == ["m"]
    assert read["x"].tolist() == [1.5]


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "true"),
        (subprocess.check_output, ["true"]),
        (eval, "1"),
        (getattr, "text", "upper"),
        (np.load, "x.npy"),
        (__import__, "os"),
    ],
)
def test_calls_are_refused_by_name(call, tmp_path):
    witness = tmp_path / "ran"
    data = pickle.dumps({"poses": Runs(*call), "w": str(witness)})
    with pytest.raises(InputError, match="wants to call"):
        loads(data)
    path = tmp_path / "seq.pkl"
    path.write_bytes(pickle.dumps(Runs(os.mkdir, str(witness))))
    with pytest.raises(InputError, match=r"seq\.pkl.*refused"):
        read_pickle(path)
    assert not witness.exists()


def test_hostile_programs_end_in_an_error_not_in_memory():
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    hostile = {
        "declared 1 TB": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        "memo number": b"\x80\x02K\x01r" + struct.pack("<I", 0xFFFFFFFF) + b".",
        "bytes of a number": b"c__builtin__\nbytes\n(I100000000000\ntR.",
        "array without content": array + b".",
        "array larger than its bytes": array + b"(I1\n(I999999999\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nS'abc'\ntb.",
        "pointers as content": array + b"(I1\n(I1\ntcnumpy\ndtype\n(S'O'\nI0\nI1\ntRI00\nS'AAAAAAAA'\ntb.",
        "structured dtype": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",
        "dotted name": b"\x80\x04\x8c\x06chumpy\x8c\tos.system\x93.",
        "truncated": pickle.dumps({"a": np.zeros(100)})[:-60],
        "no pickle": b"\xff\xd8\xff\xe0 a picture",
        "empty": b"",
        "nested deeply": b"(" * 100000 + b"t" * 100000 + b".",
        "nested lists": b"(" * 100000 + b"l" * 100000 + b".",
        "nested tuple as a key": b"}K\x01" + b"\x85" * 200000 + b"K\x01s.",
        "nested tuple through the memo": b"}K\x01" + b"\x85q\x000h\x00" * 50000 + b"K\x01s.",
        "list that holds itself as a key": b"]q\x00h\x00a}h\x00K\x01s.",
        "extension": b"\x80\x02\x82\x01.",
    }
    for what, data in hostile.items():
        try:
            loads(data)
        except InputError:
            continue
        pytest.fail(f"{what}: was read")


def test_one_block_asked_for_again_and_again_is_refused(monkeypatch):
    """1 MB on disk, 1 GB in memory if every request were met; and objects of one byte each without end."""
    monkeypatch.setattr(pickles, "MAX_CONTENT_BYTES", 50_000_000)
    monkeypatch.setattr(pickles, "MAX_OPERATIONS", 100_000)
    block, again = b"x" * 1_000_000, 1000
    start = b"\x80\x02X" + struct.pack("<I", len(block)) + block + b"q\x000("
    copies = b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tR" * again
    with pytest.raises(InputError, match="asks for more than"):
        loads(start + copies + b"t.")
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    state = b"(I1\n(I1000000\ntcnumpy\ndtype\n(S'S1'\nI0\nI1\ntRI00\nh\x00tb"
    with pytest.raises(InputError, match="asks for more than"):
        loads(start + (array + state) * again + b"t.")
    with pytest.raises(InputError, match="steps"):
        loads(b"(" + b"}" * 110_000 + b"t.")


def test_what_refers_to_itself_is_read():
    knot: list = [np.arange(2.0)]
    knot.append({"knot": knot})
    read = loads(pickle.dumps(knot))
    assert read[1]["knot"] is read
    assert read[0].tolist() == [0, 1]


def test_objects_of_a_library_become_stubs():
    # A chumpy array as SMPL's pickles hold it: copy_reg rebuilds, the state carries the numbers.
    state = pickle.dumps({"x": np.arange(3.0)}, 2)[2:-1]
    read = loads(b"\x80\x02ccopy_reg\n_reconstructor\ncchumpy.ch\nCh\nc__builtin__\nobject\nN\x87R" + state + b"b.")
    assert isinstance(read, Stub)
    assert read.kind == "chumpy.ch.Ch"
    assert read.state["x"].tolist() == [0, 1, 2]


def test_limits_and_missing_files(tmp_path):
    path = tmp_path / "big.pkl"
    path.write_bytes(pickle.dumps(np.zeros(1000)))
    with pytest.raises(InputError, match="more than the allowed"):
        read_pickle(path, max_bytes=1000)
    with pytest.raises(InputError, match="no such file"):
        read_pickle(tmp_path / "absent.pkl")
