"""The HTML page: complete in itself, and in a real browser video, overlay and bodies show one and the same frame."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judges import open_page
from PIL import Image
from tiny_body import tiny_body, tiny_motion, world_joints

from monocap.bodies import BodyModel, load_body
from monocap.errors import InputError
from monocap.media.readers import open_media
from monocap.media.writers import VideoWriter
from monocap.types import Motion
from monocap.view import page, write_page

FRAMES = 24


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture
def motion(body: BodyModel, rng: np.random.Generator) -> Motion:
    """Two people of the open body; the second is away for a while. Uneven times, a moving camera."""
    small = tiny_body(rng)
    motion = tiny_motion(small, rng, frames=FRAMES)
    posed = np.stack([body.joints_only(**motion.params(p).asdict()) for p in range(2)])
    valid = np.ones((2, FRAMES), bool)
    valid[1, 4:22] = False
    return replace(motion, joints=posed, valid=valid)


@pytest.fixture
def video(motion: Motion, tmp_path: Path) -> Path:
    """Each frame is plainly brighter than the one before, so that a picture tells which it is."""
    path = tmp_path / "film.mp4"
    with VideoWriter(path, motion.fps, (640, 480), crf=12) as writer:
        for t in range(FRAMES):
            writer.write(np.full((480, 640, 3), shade(t), np.uint8), float(motion.time[t]))
    return path


def shade(frame: int) -> int:
    return 20 + 9 * frame


def test_the_page_is_complete_and_allows_nothing_else(
    motion: Motion, body: BodyModel, video: Path, tmp_path: Path
) -> None:
    title = '</script><b title="x">&'
    assert write_page(tmp_path / "a.html", motion, body, open_media(video), title=title) == [tmp_path / "a.html"]
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="(.*?)"', text)[0])
    allowed = re.findall(r"'sha256-(.*?)'", policy)
    assert allowed == [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert "default-src 'none'" in policy
    assert not re.findall(r"https?:|unsafe-eval|\*", policy)
    assert set(re.findall(r"https?://[\w./-]+", text)) == {"http://www.w3.org/1999/xhtml"}  # a name, not an address
    assert not re.findall(r"<(?:link|iframe|img|video|source)\b", text)
    facts = json.loads(re.findall(r'id="facts">(.*?)</script>', text, re.DOTALL)[0])
    assert facts["title"] == title
    assert "<b title" not in text
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(facts["time"]), "<f8"), motion.time)
    model = base64.b64decode(re.findall(r'id="model">(.*?)</script>', text, re.DOTALL)[0])
    assert model[:4] == b"glTF"
    assert sum(len(script) for script in scripts) < 1_000_000


def test_video_overlay_and_bodies_are_in_step(motion: Motion, body: BodyModel, video: Path, tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", motion, body, open_media(video))
    frames = [0, 3, 12, FRAMES - 1]
    steps = [*(f"seek:{frame}" for frame in frames), "play:0.4", "key:Home", "key:ArrowRight", "key:2"]
    told = open_page(tmp_path / "a.html", *steps, picture=tmp_path / "a.png")
    assert told["errors"] == []
    assert told["requests"] == []
    states = told["states"][1:]
    assert [state["frame"] for state in states[:4]] == frames
    assert states[4]["frame"] > 0  # played from the start, since it stood at the end
    assert [state["frame"] for state in states[5:7]] == [0, 1]
    for state in states:
        t = state["frame"]
        assert state["message"] is None
        assert abs(state["brightness"] - shade(t)) < 4.5, (t, state["brightness"])  # this very picture
        assert state["time"] == pytest.approx(motion.time[t])
        for p, person in enumerate(state["people"]):
            hidden = p == 1 and state is states[-1]
            assert person["visible"] == (bool(motion.valid[p, t]) and not hidden)
            if motion.valid[p, t]:
                np.testing.assert_allclose(person["pelvis"], world_joints(motion, p, t)[0], atol=1e-3)
                u, v, w = motion.K[t] @ motion.joints[p, t, 0]
                np.testing.assert_allclose(person["pixel"], (u / w, v / w), atol=0.5)
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"), float)
    assert picture[80:560, 660:].std() > 5  # something stands in the 3D view


def test_a_photo_nobody_and_no_source(
    motion: Motion, body: BodyModel, tmp_path: Path, rng: np.random.Generator
) -> None:
    still = replace(tiny_motion(tiny_body(rng), rng, people=1, frames=1), image_size=np.array([64, 48]))
    Image.new("RGB", (64, 48), (90, 120, 150)).save(tmp_path / "photo.png")
    write_page(tmp_path / "a.html", still, body, open_media(tmp_path / "photo.png"))
    nobody = replace(motion, valid=np.zeros_like(motion.valid))
    write_page(tmp_path / "b.html", nobody, body)
    for name, people in (("a", 1), ("b", 0)):
        told = open_page(tmp_path / f"{name}.html", "key:ArrowRight")
        assert told["errors"] == []
        assert told["requests"] == []
        assert [len(state["people"]) for state in told["states"]] == [people, people]
        assert told["states"][1]["frame"] == (0 if name == "a" else 1)


def test_a_large_video_lies_beside(
    motion: Motion, body: BodyModel, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_EMBEDDED", 100)
    written = write_page(tmp_path / "my page.html", motion, body, open_media(video))
    assert [path.name for path in written] == ["my page.html", "my page.mp4"]
    told = open_page(written[0], "seek:9")
    assert told["errors"] == []
    assert [request.rpartition("/")[2] for request in set(told["requests"])] == ["my%20page.mp4"]
    assert told["states"][1]["message"] is None
    assert told["states"][1]["frame"] == 9
    with pytest.raises(InputError, match="would replace the input"):
        write_page(tmp_path / "film.html", motion, body, open_media(video))


def test_another_source_is_refused(motion: Motion, body: BodyModel, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="give its own source"):
        write_page(tmp_path / "a.html", motion, body, open_media(tmp_path / "photo.png"))
    Image.new("RGB", (48, 64)).save(tmp_path / "tall.png")
    with pytest.raises(InputError, match="captured from 640 × 480"):
        write_page(tmp_path / "a.html", motion, body, open_media(tmp_path / "tall.png"))
    assert not (tmp_path / "a.html").exists()
