"""Still pictures: every EXIF orientation, odd pixel formats, the lens, damaged and hostile files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monocap.errors import InputError, MediaError
from monocap.media.pictures import read_picture, write_image
from monocap.media.readers import open_media
from monocap.types import Array

ORIENTATION, EXIF_IFD = 0x0112, 0x8769


def quarters(height: int = 40, width: int = 64) -> Array:
    """Four plain quarters: red, green / blue, white: survives JPEG, and tells all eight orientations apart."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = 255
    return image


# EXIF 2.32, table of tag 0x0112: which way the stored picture was turned, undone by hand
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),  # to be shown turned clockwise by a quarter
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}


def save(path: Path, image: Array, exif_ifd: dict[int, Any] | None = None, orientation: int | None = None) -> Path:
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    if exif_ifd:
        exif.get_ifd(EXIF_IFD).update(exif_ifd)
    Image.fromarray(np.ascontiguousarray(image)).save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    upright = quarters()
    path = save(tmp_path / "a photo ü.jpg", STORED[orientation](upright), orientation=orientation)
    media = open_media(path)
    assert (media.kind, media.width, media.height, media.frame_count) == ("image", 64, 40, 1)
    frames = list(media)
    assert len(frames) == 1
    assert (frames[0].index, frames[0].time) == (0, 0.0)
    for y, x in ((8, 12), (8, 52), (32, 12), (32, 52)):
        assert np.abs(frames[0].image[y, x].astype(int) - upright[y, x]).max() < 12, (y, x)
    assert frames[0].image.dtype == np.uint8


def test_focal_length_from_the_35_mm_equivalent(tmp_path: Path) -> None:
    for orientation in (1, 6):
        path = save(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8), {0xA405: 26}, orientation)
        # 26 mm on a film diagonal of 43.27 mm; the picture's diagonal is 500 pixels
        assert read_picture(path).focal_px == pytest.approx(26 / 43.2666 * 500, rel=1e-4)


def test_focal_length_from_the_sensor(tmp_path: Path) -> None:
    # 50 mm lens; 4000 pixels on 36 mm = 2822.2 per inch; the picture was made smaller by ten
    tags = {0x920A: 50.0, 0xA20E: 4000 / 36 * 25.4, 0xA210: 2, 0xA002: 4000, 0xA003: 3000}
    path = save(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8), tags)
    assert read_picture(path).focal_px == pytest.approx(50 / 36 * 400, rel=1e-3)


@pytest.mark.parametrize(
    "tags",
    [{}, {0xA405: 0}, {0xA405: 60000}, {0x920A: 4.2}, {0xA405: 26, 0xA002: 4000, 0xA003: 1000}],
    ids=["none", "zero", "absurd", "no sensor", "cropped since"],
)
def test_unknown_lens(tags: dict[int, Any], tmp_path: Path) -> None:
    assert read_picture(save(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8), tags)).focal_px is None


def test_pixel_formats_become_rgb(tmp_path: Path) -> None:
    ramp = np.arange(0, 250, 10, dtype=np.uint8)[None].repeat(5, axis=0)
    grey = np.repeat(ramp[..., None], 3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    Image.fromarray(np.dstack([grey, np.full(ramp.shape, 255, np.uint8)])).save(tmp_path / "opaque.png")
    for name in ("grey", "deep", "palette", "opaque"):
        image = read_picture(tmp_path / f"{name}.png").image
        assert image.shape == (5, 25, 3)
        assert image.dtype == np.uint8
        np.testing.assert_allclose(image, grey, atol=1)
    Image.fromarray(np.dstack([grey, np.zeros_like(ramp)])).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png").image == 255).all()  # nothing on white
    Image.fromarray(ramp > 100).save(tmp_path / "bits.png")
    assert set(np.unique(read_picture(tmp_path / "bits.png").image)) == {0, 255}


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_hostile_and_damaged_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_claiming(60_000, 60_000))
    (tmp_path / "short.png").write_bytes(png_claiming(4000, 4000))
    whole = save(tmp_path / "whole.jpg", quarters(400, 640)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("bomb.png", "megapixels"),
        ("short.png", "damaged"),
        ("cut.jpg", "damaged"),
        ("no.jpg", "no such"),
    ):
        with pytest.raises(MediaError, match=words) as caught:
            open_media(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def test_a_broken_exif_block_does_not_stop_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", quarters(), {0xA405: 26})
    raw = path.read_bytes()
    start = raw.index(b"Exif\0\0") + 6
    path.write_bytes(raw[: start + 8] + b"\xff" * 20 + raw[start + 28 :])
    picture = read_picture(path)
    assert picture.image.shape == (40, 64, 3)
    assert picture.focal_px is None


@pytest.mark.parametrize("name", ["a.png", "b c/ü.jpg", "d.webp"])
def test_written_pictures_read_back(name: str, tmp_path: Path) -> None:
    image = quarters()
    write_image(tmp_path / name, image)
    read = read_picture(tmp_path / name).image
    tolerance = 0 if name.endswith("png") else 14
    for y, x in ((8, 12), (8, 52), (32, 12), (32, 52)):
        assert np.abs(read[y, x].astype(int) - image[y, x]).max() <= tolerance


def test_bad_writes_leave_nothing(tmp_path: Path) -> None:
    for name, image in (
        ("a.gif", quarters()),
        ("a.png", quarters().astype(float)),
        ("a.png", np.zeros((4, 4, 2), np.uint8)),
        ("a.jpg", np.zeros((4, 4, 4), np.uint8)),
    ):
        with pytest.raises(InputError):
            write_image(tmp_path / name, image)
    assert list(tmp_path.iterdir()) == []
