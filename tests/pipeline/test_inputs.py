"""What the user names: files, folders, patterns, pictures as one video, cameras; always in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monocap.errors import InputError, MediaError
from monocap.pipeline.inputs import Source, find_sources, folder_names

OUT = Path("out")


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``shots`` with frames 1, 2, 10, a video, notes and a hidden file; ``shots/deep`` with one picture."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shots"
    (folder / "deep").mkdir(parents=True)
    for name in ("f10.jpg", "f2.jpg", "F1.JPG", "deep/x.png"):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / name)
    (folder / "dance.mp4").write_bytes(b"a film, by its name")
    (folder / "notes.txt").write_text("left arm up")
    (folder / ".DS_Store").write_bytes(b"0")
    return folder


def names(inputs: list[str], fps: float | None = None, out: Path = OUT) -> list[str]:
    return [path.as_posix() for source in find_sources(inputs, fps, out)[0] for path in source.files]


def test_a_folder_in_natural_order_with_one_note(shots: Path) -> None:
    assert names(["shots"]) == ["shots/dance.mp4", "shots/F1.JPG", "shots/f2.jpg", "shots/f10.jpg"]
    _, notes = find_sources(["shots"], None, OUT)
    assert notes == ["shots: 1 files that are no photos or videos were left (notes.txt)"]


def test_patterns_are_ours_to_expand(shots: Path) -> None:
    assert names(["shots/f*.jpg"]) == ["shots/f2.jpg", "shots/f10.jpg"]
    assert names(["shots/**/*.png"]) == ["shots/deep/x.png"]
    assert names(["s*/f[0-9].jpg"]) == ["shots/f2.jpg"]
    with pytest.raises(InputError, match="no pictures or videos"):
        find_sources(["shots/*.mkv"], None, OUT)
    (shots / "a[1].jpg").write_bytes((shots / "f2.jpg").read_bytes())
    assert names(["shots/a[1].jpg"]) == ["shots/a[1].jpg"], "a file of that name goes before the pattern"


def test_the_given_order_is_kept_and_doubles_go(shots: Path) -> None:
    assert names(["shots/f10.jpg", "shots/F1.JPG", "shots/f10.jpg"]) == ["shots/f10.jpg", "shots/F1.JPG"]
    assert "captured once" in find_sources(["shots/f2.jpg", "shots/*.jpg"], None, OUT)[1][0]


def test_results_are_no_inputs(shots: Path) -> None:
    (shots / "out" / "f2").mkdir(parents=True)
    (shots / "out" / "f2" / "f2.png").write_bytes((shots / "f2.jpg").read_bytes())
    (shots / "f2.overlay.png").write_bytes((shots / "f2.jpg").read_bytes())
    assert names(["shots/**/*.png"], out=shots / "out") == ["shots/deep/x.png"]
    assert "shots/f2.overlay.png" not in names(["shots"])


def test_pictures_of_a_folder_as_one_video(shots: Path) -> None:
    for inputs in (["shots"], ["shots/*.jpg", "shots/F1.JPG"], ["shots/f2.jpg", "shots/f10.jpg", "shots/F1.JPG"]):
        sources, _ = find_sources(inputs, 24, OUT)
        (pictures,) = [source for source in sources if source.fps]
        assert sorted(path.name for path in pictures.files) == ["F1.JPG", "f10.jpg", "f2.jpg"]
        assert pictures.name == "shots"
        media = pictures.open()
        assert (media.kind, media.fps, media.frame_count) == ("video", 24, 3)
    assert [source.name for source in find_sources(["shots", "shots/deep"], 24, OUT)[0]] == ["dance", "shots", "deep"]
    with pytest.raises(InputError, match="--fps is for folders of pictures"):
        find_sources(["shots/dance.mp4"], 24, OUT)
    with pytest.raises(InputError, match="fps from"):
        find_sources(["shots/*.jpg"], float("nan"), OUT)[0][0].open()


def test_cameras_and_files_called_by_a_number(shots: Path) -> None:
    (source,), _ = find_sources(["0"], None, OUT)
    assert (source.device, source.name) == (0, "camera_0")
    (shots.parent / "7").write_bytes((shots / "f2.jpg").read_bytes())
    assert names(["7"]) == ["7"]


@pytest.mark.parametrize("text", ["missing.mp4", "http://x/y.mp4", "", "x" * 400, "shots/deep/x.png/y", "a\0b"])
def test_what_is_not_there(text: str, shots: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_sources([text], None, OUT)
    assert "\n" not in str(caught.value)


def test_an_empty_file_and_an_empty_folder(shots: Path) -> None:
    (shots / "empty.png").touch()
    (shots.parent / "none").mkdir()
    with pytest.raises(MediaError, match="empty"):
        find_sources(["shots/empty.png"], None, OUT)
    with pytest.raises(InputError, match="no pictures or videos"):
        find_sources(["none"], None, OUT)


def test_folder_names_never_meet() -> None:
    files = ["a/x.png", "b/X.jpg", "x_2.png", "c/x.mp4", "...png", "CON.png", "y .png", "y.mov", f"{'z' * 250}.png"]
    made = folder_names([Source((Path(name),)) for name in files])
    assert made[:4] == ["x", "X_2", "x_2_2", "x_3"]
    assert len({name.casefold() for name in made}) == len(files)
    for name in made:
        assert name.strip(". ") not in ("", "con", "CON")
        assert len(name) < 220
        assert "/" not in name
