"""Bodies that a user adds: converted once, mapped afterwards, the same to the last bit; damaged ones refused."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from official import JOINTS, landmarks, official, save_npz, save_pkl

from monocap.bodies import load_body, store
from monocap.cli import main
from monocap.errors import InputError
from monocap.files import npz_shapes


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(store.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("kind", JOINTS)
def test_a_converted_body_is_the_same(kind, tmp_path, rng):
    arrays = official(kind, rng) | (landmarks(rng) if kind == "flame" else {})
    source = load_body(save_npz(tmp_path / f"{kind.upper()}_NEUTRAL.npz", arrays))
    body = load_body(store.add(source))
    assert body.name == f"{kind}_neutral"
    for name in (
        "v_template",
        "faces",
        "shapedirs",
        "exprdirs",
        "posedirs",
        "lbs_weights",
        "J_template",
        "J_shapedirs",
    ):
        np.testing.assert_array_equal(getattr(body, name), getattr(source, name), err_msg=name)
    assert body.joint_names == source.joint_names
    assert body.licence == source.licence
    assert body.keypoint_names() == source.keypoint_names()
    given = {name: rng.normal(0, 0.4, (2, 3 * count)) for name, count in body.kind.parts}
    np.testing.assert_array_equal(body.keypoints(**given), source.keypoints(**given))
    if body.kind.hands:
        np.testing.assert_array_equal(body.with_hands(6, False)().vertices, source.with_hands(6, False)().vertices)


def test_arrays_are_mapped_and_private(tmp_path, rng):
    """Nothing is read that is not used; what a caller writes into the arrays never reaches the file."""
    path = store.add(load_body(save_npz(tmp_path / "SMPLX_MALE.npz", official("smplx", rng))))
    body = load_body("smplx_male")
    for name in ("v_template", "lbs_weights", "faces", "J_template"):
        array = getattr(body, name)
        assert not array.flags.owndata
        assert array.flags.aligned
        assert array.ctypes.data % 64 == 0
    before = path.read_bytes()
    body.v_template[:] = 7.0
    assert path.read_bytes() == before
    assert set(npz_shapes(path)) > {"v_template", "schema"}  # an ordinary archive
    with np.load(path) as plain:
        np.testing.assert_array_equal(np.moveaxis(plain["shapedirs"], 0, -1), body.shapedirs)


def test_names(tmp_path, rng, home):
    source = load_body(save_npz(tmp_path / "SMPL_FEMALE.npz", official("smpl", rng, 60)))
    store.add(source)
    with pytest.raises(InputError, match="already"):
        store.add(source)
    store.add(source, overwrite=True)
    store.add(source, "other")
    assert store.names() == ("other", "smpl_female")
    assert store.find("SMPL_FEMALE").parent == store.folder()  # as the file was called
    for bad in ("open", "../x", "a/b", "", ".hidden", "x.npz", "ä"):
        with pytest.raises(InputError, match="expected letters"):
            store.add(source, bad or " ")
    assert sorted(p.name for p in home.rglob("*") if p.is_file()) == ["other.npz", "smpl_female.npz"]
    with pytest.raises(InputError, match="no body 'third'; expected open, other, smpl_female"):
        load_body("third")
    with pytest.raises(InputError, match="no such file"):
        load_body("../bodies/other")


def test_damaged_files_say_so(tmp_path, rng):
    path = store.add(load_body(save_npz(tmp_path / "SMPL_MALE.npz", official("smpl", rng, 60))))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(changes):
        out = tmp_path / "changed.npz"
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in (members | changes).items():
                if content is not None:
                    archive.writestr(name, content)
        return out

    assert load_body(rewritten({})).num_betas == 10
    with pytest.raises(InputError, match="lacks faces"):
        load_body(rewritten({"faces.npy": None}))
    with pytest.raises(InputError, match=r"(v_template|shapedirs) has shape"):
        load_body(rewritten({"v_template.npy": members["parents.npy"]}))
    faces = bytearray(members["faces.npy"])
    faces[-4:] = b"\xff\xff\xff\x7f"
    with pytest.raises(InputError, match="do not fit each other"):
        load_body(rewritten({"faces.npy": bytes(faces)}))
    with pytest.raises(InputError, match="not a readable"):
        load_body(rewritten({"v_template.npy": members["v_template.npy"][:-8]}))


def test_commands_add_list_info(tmp_path, rng, capsys):
    folder = tmp_path / "official"
    folder.mkdir()
    left, right = (
        save_pkl(folder / f"MANO_{s}.pkl", official("mano", rng, 90), chumpy=True) for s in ("LEFT", "RIGHT")
    )
    bare = {k: v for k, v in official("smplh", rng).items() if not k.startswith("hands")}
    file = save_npz(folder / "model.npz", bare)
    assert main(["bodies", "add", str(file), "--name", "smplh_f", "--hands", str(left), str(right), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"].startswith("SMPL-H")
    assert "mano.is.tue.mpg.de" in said["licence"]
    assert said["mean_hands_and_components"]
    assert Path(said["file"]).is_file()
    assert main(["bodies", "list"]) == 0
    listed = capsys.readouterr().out
    assert "smplh_f" in listed
    assert "CC0" in listed
    assert main(["bodies", "info", "smplh_f"]) == 0
    assert "left_hand_pose 45" in capsys.readouterr().out
    assert main(["bodies", "add", str(file), "--name", "smplh_f"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["bodies", "add"]) == 2
    assert main(["bodies", "add", str(tmp_path / "absent.npz")]) == 2
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.write(left, "models/MANO_LEFT.pkl")
    capsys.readouterr()
    assert main(["bodies", "add", str(tmp_path / "bundle.zip")]) == 2
    assert "unpack it" in capsys.readouterr().err
