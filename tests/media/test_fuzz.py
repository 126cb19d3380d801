"""A seeded part of `tools/fuzz_capture.py`: damaged files are read or told in one line, whatever the damage."""

from __future__ import annotations

import importlib.util
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from monocap.errors import MediaError
from monocap.media import Media, open_media
from monocap.types import Frame

TOOL = Path(__file__).resolve().parents[2] / "tools" / "fuzz_capture.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_capture", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_capture"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seeds(fuzz: ModuleType) -> dict[str, bytes]:
    return fuzz.seeds()


def test_the_seeds_themselves_are_read(seeds: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in seeds.items():
        (tmp_path / name).write_bytes(data)
        media = open_media(tmp_path / name)
        frames = list(media)
        video = name.startswith(("film", "moving", "lossless"))
        assert (media.kind == "video") == video, name
        assert len(frames) == 12 if name.startswith(("film", "lossless")) else (len(frames) > 1) == video, name
        assert media.warnings == [] or name.endswith("h264"), name


def read(path: Path) -> tuple[Media | None, list[Frame], str]:
    """The file's frames, or the line that is told about it."""
    try:
        media = open_media(path)
        return media, list(media), ""
    except MediaError as error:
        return None, [], str(error)


@pytest.mark.parametrize("number", range(40))
def test_mutated(number: int, fuzz: ModuleType, seeds: dict[str, bytes], tmp_path: Path) -> None:
    name, data = fuzz.mutated(1000 + number, seeds)
    path = tmp_path / name
    path.write_bytes(data)
    media, frames, told = read(path)
    if media is None:
        assert "\n" not in told
        assert name in told
        return
    assert all(frame.image.shape == (media.height, media.width, 3) for frame in frames)
    assert all(frame.image.dtype == np.uint8 for frame in frames)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert (np.diff([frame.time for frame in frames]) > 0).all()


HOSTILE: dict[str, Callable[[ModuleType], bytes]] = {
    "claims too much": lambda fuzz: fuzz.png(60000, 60000, rows=10),
    "very wide": lambda fuzz: fuzz.png(30000, 20),
    "a large jpeg that is small": lambda fuzz: fuzz.jpeg_of_size(65000, 65000, False),
    "progressive": lambda fuzz: fuzz.jpeg_of_size(3000, 3000, True),
    "exif": lambda fuzz: fuzz.exif_bomb(5000, random.Random(1)),
    "packed text": lambda fuzz: fuzz.png(
        64, 64, extra=fuzz.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_made_to_hurt(name: str, fuzz: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(HOSTILE[name](fuzz))
    media, frames, told = read(path)
    assert "\n" not in told
    assert media is None or frames[0].image.shape == (media.height, media.width, 3)
