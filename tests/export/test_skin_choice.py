"""``--skin NAME|FILE``: painted on GLB, OBJ and page; wrong ones told in one line."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from glb_reader import Glb
from PIL import Image
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import load_body
from monocap.cli import main
from monocap.errors import InputError
from monocap.export import skin_names, skin_texture
from monocap.pipeline.resume import differences, run_key
from monocap.pipeline.settings import CaptureSettings

NAME = "old_caucasian_female"


@pytest.fixture
def folder(rng: np.random.Generator, tmp_path: Path) -> Path:
    """video.npz and photo.npz, and own.png, somebody's own skin."""
    body = tiny_body(rng)
    tiny_motion(body, rng, people=1, frames=3).save(tmp_path / "video.npz")
    tiny_motion(body, rng, people=1, frames=1).save(tmp_path / "photo.npz")
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "own.png")
    (tmp_path / "own.txt").write_text("no picture")
    return tmp_path


def bytes_of(name: str) -> bytes:
    path = skin_texture(load_body("open"), name)
    assert path is not None
    return path.read_bytes()


def test_a_glb_carries_the_chosen_skin(folder: Path) -> None:
    for skin, expected in ((NAME, bytes_of(NAME)), (str(folder / "own.png"), (folder / "own.png").read_bytes())):
        assert (
            main(["export", str(folder / "video.npz"), "--to", "glb", "-o", str(folder / "a.glb"), "--skin", skin]) == 0
        )
        glb = Glb(folder / "a.glb")
        assert expected in glb.binary
        assert bytes_of("default") not in glb.binary


def test_the_obj_of_a_photo_names_a_copy_of_it(folder: Path) -> None:
    own = str(folder / "own.png")
    assert main(["export", str(folder / "photo.npz"), "--to", "obj", "-o", str(folder / "a.obj"), "--skin", own]) == 0
    material = (folder / "a.mtl").read_text()
    (named,) = re.findall(r"map_Kd (\S+)", material)
    assert named.endswith(".png")
    assert (folder / named).read_bytes() == (folder / "own.png").read_bytes()


def test_the_page_shows_it(folder: Path) -> None:
    assert main(["view", str(folder / "video.npz"), "-o", str(folder / "a.html"), "--skin", NAME]) == 0
    page = (folder / "a.html").read_text(encoding="utf-8")
    blocks = [base64.b64decode(text) for text in re.findall(r"[A-Za-z0-9+/]{100000,}={0,2}", page)]
    assert any(bytes_of(NAME) in block for block in blocks)


@pytest.mark.parametrize(
    ("to", "skin", "line"),
    [
        ("glb", "somebody", f"no skin 'somebody'; expected {', '.join(skin_names())}"),
        ("glb", "absent.png", "absent.png: no such file"),
        ("glb", "own.txt", "neither JPEG nor PNG"),
        ("bvh", NAME, "bvh has no texture"),
        ("obj", NAME, "obj has no texture"),
    ],
)
def test_what_cannot_be_is_told(
    folder: Path, to: str, skin: str, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main(["export", "video.npz", "--to", to, "-o", f"out.{to}", "--skin", skin]) == 2
    told = capsys.readouterr().err.strip()
    assert line in told
    assert "\n" not in told
    assert not list(folder.glob("out*"))


def test_a_capture_with_a_wrong_skin_ends_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64)).save(folder / "photo.jpg")
    assert main(["capture", str(folder / "photo.jpg"), "-o", str(folder / "out"), "--skin", "somebody"]) == 2
    assert "no skin 'somebody'" in capsys.readouterr().err
    assert not [path for path in (folder / "out").rglob("*") if path.suffix in {".npz", ".glb"}]


def test_a_resumed_capture_does_not_mix_two_skins(folder: Path) -> None:
    files = [folder / "own.png"]
    keys = [run_key(files, CaptureSettings(), {}, {}, skin=skin) for skin in (None, NAME, str(folder / "own.png"))]
    assert not differences(keys[0], run_key(files, CaptureSettings(), {}, {}))
    (told,) = differences(keys[0], keys[1])
    assert told.startswith("skin was")
    before = keys[2]
    Image.new("RGB", (4, 4)).save(folder / "own.png")
    assert differences(before, run_key(files, CaptureSettings(), {}, {}, skin=str(folder / "own.png")))


def test_a_body_without_texture_coordinates_takes_no_picture(folder: Path) -> None:
    bare = replace(load_body("open"), uv=None, uv_faces=None)
    with pytest.raises(InputError, match="no texture coordinates"):
        skin_texture(bare, str(folder / "own.png"))
    with pytest.raises(InputError, match="only the open body has skins by name"):
        skin_texture(bare, NAME)


def test_bodies_info_names_the_skins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bodies", "info", "open"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in skin_names())
