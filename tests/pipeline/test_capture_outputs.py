"""Every format that capture offers is written, with people, with one that is never seen, and with nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_body import tiny_body, tiny_motion

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.media.readers import Media, open_media
from monocap.media.writers import VideoWriter
from monocap.pipeline.clock import StageClock
from monocap.pipeline.outputs import FORMATS, USUAL, check_formats, write_photo_outputs, write_video_outputs


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture
def film(tmp_path: Path) -> Media:
    with VideoWriter(tmp_path / "film.mp4", 25, (64, 48)) as writer:
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    return open_media(tmp_path / "film.mp4")


def made(out: Path) -> set[str]:
    return {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize("people", [2, 0])
def test_video(body: BodyModel, film: Media, rng: np.random.Generator, tmp_path: Path, people: int) -> None:
    motion = replace(tiny_motion(tiny_body(rng), rng, people=people, frames=3), image_size=np.array([64, 48]))
    valid = motion.valid.copy()
    valid[1:] = False  # the second person is never seen
    out = tmp_path / "out"
    motion = replace(motion, valid=valid)
    written = write_video_outputs(out, film, motion, body, FORMATS["video"], True, StageClock())
    whole = {"motion.npz", "avatar.glb", "motion.jsonl", "view.html", "overlay.mp4"}
    person = {
        "motion_01.bvh",
        "motion_01.vrma",
        "motion_01.amass.npz",
        *(f"obj_01/frame_00000{t}.obj" for t in range(3)),
    }
    assert made(out) == (whole | person if people else whole)
    assert {p.name for p in written} == whole | ({name.split("/")[0] for name in person} if people else set())
    assert all(p.exists() for p in written)


@pytest.mark.parametrize("people", [2, 0])
def test_photo(body: BodyModel, rng: np.random.Generator, tmp_path: Path, people: int) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "me.png")
    motion = replace(tiny_motion(tiny_body(rng), rng, people=people, frames=1), image_size=np.array([64, 48]))
    out = tmp_path / "out"
    media = open_media(tmp_path / "me.png")
    written = write_photo_outputs(out, "me", media, motion, body, FORMATS["image"], True, StageClock())
    whole = {f"me.{suffix}" for suffix in ("npz", "glb", "obj", "mtl", "jsonl", "html", "overlay.png")} | {
        "me_skin.jpg"
    }
    person = {f"me_{n}.{suffix}" for n in ("01", "04") for suffix in ("bvh", "vrma", "amass.npz")}
    assert made(out) == (whole | person if people else whole)
    assert {p.name for p in written} <= made(out)


def test_the_usual_formats_are_those_of_the_documents(film: Media, tmp_path: Path) -> None:
    assert check_formats(None, film) == USUAL["video"] == ("npz", "glb", "bvh")
    Image.new("RGB", (64, 48)).save(tmp_path / "me.png")
    assert check_formats(None, open_media(tmp_path / "me.png")) == ("npz", "glb", "obj")
    assert check_formats(["vrma", "npz", "vrma"], film) == ("vrma", "npz")
    with pytest.raises(InputError, match="expected some of npz, glb, bvh, vrma, amass, obj, json, html"):
        check_formats(["fbx"], film)
