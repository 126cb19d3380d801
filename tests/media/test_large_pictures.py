"""Pictures above the working size: made smaller on decoding, the full size remembered; limits of every kind."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monocap.errors import MediaError
from monocap.media import pictures
from monocap.media.pictures import read_picture, shrink_factor
from monocap.media.readers import open_media
from monocap.types import Array

MODES = ["RGB", "L", "P", "RGBA", "LA", "I;16", "CMYK"]


def ramp(width: int, height: int) -> Array:
    """Grey, brighter to the right: a box average of any size keeps its value."""
    return np.broadcast_to(np.linspace(20, 230, width).astype(np.uint8)[None], (height, width)).copy()


def save_as(path: Path, grey: Array, mode: str, **options: Any) -> Path:
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("RGBA", "LA"):
        image = Image.fromarray(grey).convert(mode)
        image.putalpha(255)
    else:
        image = Image.fromarray(grey).convert(mode)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_is_made_smaller_alike(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_STRIP_PIXELS", 20_000)  # many strips
    grey = ramp(501, 305)
    path = save_as(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), grey, mode)
    picture = read_picture(path, 10_000)
    factor = shrink_factor(501, 305, 10_000)
    assert (picture.factor, picture.full_size) == (factor, (501, 305))
    assert picture.image.shape == (-(-305 // factor), -(-501 // factor), 3)
    expected = grey[0, : 501 // factor * factor].reshape(-1, factor).mean(axis=1)
    tolerance = 3 if mode == "CMYK" else 1.5
    np.testing.assert_allclose(picture.image[10, : len(expected), 1], expected, atol=tolerance)
    np.testing.assert_allclose(picture.image[-1, : len(expected), 1], expected, atol=tolerance)  # the last, short strip
    whole = read_picture(path)
    assert (whole.factor, whole.image.shape) == (1, (305, 501, 3))


def test_a_jpeg_is_made_smaller_by_its_decoder(tmp_path: Path) -> None:
    path = save_as(tmp_path / "a.jpg", ramp(4000, 3000), "RGB", quality=90)
    tracemalloc.start()
    picture = read_picture(path, 200_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.image.shape == (375, 500, 3)
    assert peak < 4_000_000
    assert np.abs(picture.image[200, ::50, 0].astype(int) - np.linspace(20, 230, 500)[::50]).max() < 4


def test_turned_and_large(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 26
    path = save_as(tmp_path / "a.jpg", ramp(1600, 1200), "RGB", exif=exif)
    picture = read_picture(path, 100_000)
    assert picture.full_size == (1200, 1600)
    assert picture.image.shape[0] > picture.image.shape[1]
    assert picture.focal_px == pytest.approx(26 / 43.2666 * 2000, rel=1e-4)  # of the full size
    assert picture.image[5, 100, 0] < 60 < 200 < picture.image[-5, 100, 0]  # stored right is shown below


def test_media_of_a_large_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monocap.media.readers.WORKING_PIXELS", 50_000)
    media = open_media(save_as(tmp_path / "a.png", ramp(501, 305), "RGB"))
    assert media.full_size == (501, 305)
    assert next(iter(media)).image.shape == (media.height, media.width, 3) == (153, 251, 3)
    assert any("501 × 305" in warning for warning in media.warnings)


@pytest.mark.parametrize("size", [(15, 400), (400, 15), (1, 1)])
def test_too_small(size: tuple[int, int], tmp_path: Path) -> None:
    for suffix in ("png", "gif"):
        save_as(tmp_path / f"a.{suffix}", ramp(*size), "L")
        with pytest.raises(MediaError, match="at least 16"):
            open_media(tmp_path / f"a.{suffix}")


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100_000)
    for mode, suffix in (("RGB", "png"), ("RGB", "jpg"), ("1", "png"), ("RGB", "webp")):
        with pytest.raises(MediaError, match="megapixels"):
            open_media(save_as(tmp_path / f"a.{suffix}", ramp(400, 300), mode))


def test_what_takes_too_much_memory_to_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_DECODER_LIMIT", 400 * 300 * 3.5)
    grey = ramp(400, 300)
    assert open_media(save_as(tmp_path / "plain.jpg", grey, "RGB", quality=90)).width == 400
    assert open_media(save_as(tmp_path / "usual.jpg", grey, "RGB", progressive=True, subsampling=2)).width == 400
    assert open_media(save_as(tmp_path / "grey.png", grey, "L")).width == 400
    for name, options in (("full.jpg", {"progressive": True, "subsampling": 0}), ("a.webp", {}), ("a.png", {})):
        with pytest.raises(MediaError, match="are read up to"):
            open_media(save_as(tmp_path / name, grey, "RGB", **options))


def test_kinds_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    with pytest.raises(MediaError, match="HEIC"):
        open_media(tmp_path / "a.jpg")
    frames = [Image.fromarray(ramp(64, 48 + 0 * i)).rotate(9 * i) for i in range(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(MediaError, match="moving WEBP"):
        open_media(tmp_path / "a.webp")
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(x) run\n")
    with pytest.raises(MediaError, match="neither"):  # no interpreter is started
        open_media(tmp_path / "a.eps")


def test_pages_are_no_film(tmp_path: Path) -> None:
    pages = [Image.fromarray(ramp(64, 48)) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert open_media(tmp_path / "a.tif").kind == "image"


@pytest.mark.parametrize("seed", range(6))
def test_exif_of_any_content_is_survived(seed: int, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(ramp(64, 48)).convert("RGB").save(stream, "JPEG")
    plain = stream.getvalue()
    block = b"Exif\0\0II*\0\x08\0\0\0" + np.random.default_rng(seed).bytes(400)
    (tmp_path / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:])
    assert sorted(read_picture(tmp_path / "a.jpg").image.shape[:2]) == [48, 64]
