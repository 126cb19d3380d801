"""`SynthSample`: one synthetic picture with its exact truth; how it lies in a webdataset shard, and their reader.

A shard is an uncompressed tar. The files of a picture share a key and lie side by side:

- ``KEY.image.png`` (H,W,3) uint8 RGB;
- ``KEY.mask.png`` (H,W,3) uint8: number of the person, and of the joint that carries the part seen, both plus one (0:
  no person); then 1 where a thing is seen;
- ``KEY.depth.png`` (H,W) uint16: z = depth_near + value · depth_step metres, 65535 where nothing was hit;
- ``KEY.normal.png`` (H,W,3) uint8: round(127 n) + 128, camera frame, 0 where nothing was hit;
- ``KEY.truth.npz``: parameters, joints, visibility, boxes, camera, floor; ``KEY.vertices.npy`` where they were wanted;
- ``KEY.about.json``: number, seed, version, and who wears what in which light.

Nothing in them is run: pictures are PNG, arrays are read without pickle, sizes are bounded.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.data.dataset import Collection, Part
from monocap.data.sample import DatasetInfo, Sample
from monocap.errors import InputError
from monocap.files import read_npz_stream
from monocap.types import Array, BodyParams, Camera

SCHEMA = "monocap.synth/1"
INDEX = "index.json"
SKELETON = "smplx127"
INFO = DatasetInfo(
    name="synth",
    licence="yours: made of CC0 bodies, skins and clothes, on your own pose corpus if you gave one",
    source="monocap synth render",
    skeleton=SKELETON,
    description="rendered people with exact truth; SMPL-X parameters of the open body in the camera",
)

OUTSIDE, BY_ITSELF, BY_OTHER, BY_THING, VISIBLE = range(5)
"""States of ``visibility``: outside the picture (or behind the camera); hidden by the same person, by another person,
by a thing; visible."""

NOTHING = 65535  # in a stored depth
_EXTENSIONS = ("image.png", "mask.png", "depth.png", "normal.png", "truth.npz", "about.json")
_MAX_SIDE = 8192
_MAX_MEMBER = 256 << 20
_SMALLEST = 0.02  # share of its box that must be seen for a person to count in protocols …
_FEWEST = 3  # … and how many of the body's 22 joints
_PEOPLE = {
    "betas": (16,), "global_orient": (3,), "body_pose": (63,), "transl": (3,), "jaw_pose": (3,), "left_eye_pose": (3,),
    "right_eye_pose": (3,), "left_hand_pose": (45,), "right_hand_pose": (45,), "expression": (10,),
    "joints": (127, 3), "joints2d": (127, 2), "visibility": (127,), "box": (4,), "pixels": (),
}  # fmt: skip
_ONCE = {"K": (3, 3), "T_world_camera": (4, 4), "floor": (4,)}
_PARAMETERS = tuple(list(_PEOPLE)[:10])


@dataclass(frozen=True, eq=False)
class SynthSample:
    """One picture of P people and all that is true of it. Metres, radians, pixels; camera frame (OpenCV axes).

    - ``image`` (H,W,3) uint8 RGB; ``depth`` (H,W) float32, inf where nothing was hit; ``normal`` (H,W,3) float32;
      ``person`` and ``part`` (H,W) int16: number of the person, and of the SMPL-X joint that carries what is seen,
      -1 elsewhere; all at the centres of pixels, sharp, without the film's blur;
    - ``params`` (P,…) as in motion.npz; ``joints`` (P,127,3) of `SKELETON`, ``joints2d`` (P,127,2);
      ``visibility`` (P,127) uint8, see `VISIBLE`; ``box`` (P,4) x0, y0, x1, y1 of the whole body, also where it leaves
      the picture; ``pixels`` (P,) how many show the person;
    - ``K`` (3,3); ``T_world_camera`` (4,4), world: y up, floor at y = 0; ``floor`` (4,) plane n·x + d = 0;
    - ``about``: number, seed, sampler, split, looks, outfits, light, film … in plain words and numbers;
    - ``vertices`` (P,V,3) if they were kept: `posed` gives them in any case.
    """

    image: Array
    depth: Array
    normal: Array
    person: Array
    part: Array
    params: BodyParams
    joints: Array
    joints2d: Array
    visibility: Array
    box: Array
    pixels: Array
    K: Array
    T_world_camera: Array
    floor: Array
    about: Mapping[str, Any]
    vertices: Array | None = None

    @property
    def number(self) -> int:
        """What the sampler makes it again from."""
        return int(self.about["number"])

    @property
    def key(self) -> str:
        """Its name in a shard."""
        return f"{self.number:08d}"

    @property
    def people(self) -> int:
        """P."""
        return len(self.joints)

    @property
    def camera(self) -> Camera:
        """The pinhole camera."""
        height, width = self.depth.shape
        return Camera(self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2], width, height)

    def posed(self, body: BodyModel | None = None) -> Array:
        """(P,V,3) vertices of the bodies without clothes, camera frame, metres."""
        body = body or load_body("open")
        return body(**self.params.asdict()).vertices

    def samples(self, info: DatasetInfo = INFO, sequence: str = "") -> list[Sample]:
        """One `Sample` for each person who can be seen at all, as other data sets have them.

        2D joints have confidence 1 inside the picture, hidden or not: ``notes["visibility"]`` tells. People of whom
        nearly nothing is seen are not in the protocol.
        """
        height, width = self.depth.shape
        found = []
        for p, low, high in shown(self.box, self.pixels, width, height):
            inside = self.visibility[p] != OUTSIDE
            clear = int((self.visibility[p, :22] == VISIBLE).sum())
            # the sampler's own arrays are float32; a data set's are float64
            params = {name: np.asarray(v[p], np.float64) for name, v in self.params.asdict().items()}
            found.append(
                Sample(
                    info=info,
                    image=self.image,
                    image_size=(width, height),
                    box_center=(low + high) / 2,
                    box_size=high - low,
                    K=self.K,
                    T_camera_world=np.linalg.inv(self.T_world_camera),
                    joints3d=np.asarray(self.joints[p], np.float64),
                    joints3d_valid=np.ones(len(self.joints[p]), bool),
                    skeleton3d=SKELETON,
                    joints2d=np.column_stack([self.joints2d[p], inside]).astype(np.float64),
                    skeleton2d=SKELETON,
                    params=BodyParams(**params),
                    body="open",
                    in_protocol=bool(self.pixels[p] >= _SMALLEST * np.prod(high - low) and clear >= _FEWEST),
                    sequence=sequence,
                    frame=self.number,
                    subject=str(p),
                    notes={"visibility": self.visibility[p], "pixels": int(self.pixels[p]), "about": self.about},
                )
            )
        return found


def shown(box: Array, pixels: Array, width: int, height: int) -> list[tuple[int, Array, Array]]:
    """Who can be seen at all: number, and the corners (2,), (2,) of their box inside the picture."""
    last = np.array([width - 0.5, height - 0.5])
    low, high = np.clip(box[:, :2], -0.5, last), np.clip(box[:, 2:], -0.5, last)
    seen = (pixels > 0) & (high - low >= 1.0).all(axis=1)
    return [(int(p), low[p], high[p]) for p in np.flatnonzero(seen)]


# ---------------------------------------------------------------------- files of one picture
def encode(sample: SynthSample) -> dict[str, bytes]:
    """The files of a picture by their extension, the same bytes for the same sample."""
    hit = np.isfinite(sample.depth)
    near = float(sample.depth[hit].min()) if hit.any() else 0.0
    far = float(sample.depth[hit].max()) if hit.any() else 1.0
    step = max(far - near, 1e-3) / (NOTHING - 1)
    depth = np.full(hit.shape, NOTHING, np.uint16)
    depth[hit] = np.rint((sample.depth[hit] - near) / step)
    mask = np.stack([sample.person + 1, sample.part + 1, hit & (sample.person < 0)], axis=-1).astype(np.uint8)
    normal = np.where(hit[..., None], np.rint(127.0 * sample.normal) + 128, 0).astype(np.uint8)
    arrays = {name: value.astype(np.float32) for name, value in sample.params.asdict().items()}
    arrays |= {name: getattr(sample, name) for name in ("joints", "joints2d", "box", "K", "T_world_camera", "floor")}
    arrays |= {"visibility": sample.visibility.astype(np.uint8), "pixels": sample.pixels.astype(np.int32)}
    about = {**sample.about, "depth_near": near, "depth_step": step, "skeleton": SKELETON}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    files = {
        "image.png": _png(sample.image[..., ::-1]),
        "mask.png": _png(mask[..., ::-1]),
        "depth.png": _png(depth),
        "normal.png": _png(normal[..., ::-1]),
        "truth.npz": buffer.getvalue(),
        "about.json": json.dumps(about, ensure_ascii=False, sort_keys=True).encode(),
    }
    if sample.vertices is not None:
        buffer = io.BytesIO()
        np.save(buffer, sample.vertices.astype(np.float32), allow_pickle=False)
        files["vertices.npy"] = buffer.getvalue()
    return files


def decode(files: Mapping[str, bytes], where: str = "sample") -> SynthSample:
    """The sample of `encode`'s files. Raises InputError, naming ``where``, for anything else."""
    missing = [name for name in _EXTENSIONS if name not in files]
    if missing:
        raise InputError(f"{where}: lacks {', '.join(missing)}; the shard is damaged or not of monocap synth")
    try:
        about = json.loads(files["about.json"])
        near, step, _ = float(about.pop("depth_near")), float(about.pop("depth_step")), int(about["number"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: about.json is not what monocap synth writes ({error!r})") from error
    image = _pixels(files["image.png"], 3, np.uint8, f"{where}: image.png")[..., ::-1]
    size = image.shape[:2]
    mask = _pixels(files["mask.png"], 3, np.uint8, f"{where}: mask.png", size)[..., ::-1]
    stored = _pixels(files["depth.png"], 1, np.uint16, f"{where}: depth.png", size)
    normal = _pixels(files["normal.png"], 3, np.uint8, f"{where}: normal.png", size)[..., ::-1]
    hit = stored != NOTHING
    arrays = _truth(files["truth.npz"], where)
    vertices = None
    if "vertices.npy" in files:
        try:
            vertices = np.load(io.BytesIO(files["vertices.npy"]), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{where}: vertices.npy is damaged ({error})") from error
    return SynthSample(
        image=np.ascontiguousarray(image),
        depth=np.where(hit, near + step * stored, np.inf).astype(np.float32),
        normal=np.where(hit[..., None], (normal.astype(np.float32) - 128) / 127, 0).astype(np.float32),
        person=mask[..., 0].astype(np.int16) - 1,
        part=mask[..., 1].astype(np.int16) - 1,
        params=BodyParams(**{name: arrays.pop(name) for name in _PARAMETERS}),
        about=about,
        vertices=vertices,
        **arrays,
    )


def _truth(content: bytes, where: str) -> dict[str, Array]:
    arrays = read_npz_stream(io.BytesIO(content), f"{where}: truth.npz", {*_PEOPLE, *_ONCE}, _MAX_MEMBER)
    missing = [name for name in (*_PEOPLE, *_ONCE) if name not in arrays]
    if missing:
        raise InputError(f"{where}: truth.npz lacks {', '.join(missing)}")
    count = arrays["betas"].shape[:1]
    for name, shape in (*((n, (*count, *s)) for n, s in _PEOPLE.items()), *_ONCE.items()):
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise InputError(f"{where}: truth.npz: {name} has shape {arrays[name].shape}, or is not finite; {shape}")
    return arrays


def _png(image: Array) -> bytes:
    done, content = cv2.imencode(".png", np.ascontiguousarray(image), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise InputError(f"a picture of shape {image.shape} could not be packed")
    return content.tobytes()


def _pixels(content: bytes, channels: int, kind: type, where: str, size: tuple[int, int] | None = None) -> Array:
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 33:
        raise InputError(f"{where}: not a PNG")
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE) or (size is not None and size != (height, width)):
        raise InputError(f"{where}: {width} × {height} pixels; expected {size or f'at most {_MAX_SIDE}²'}")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    shape = (height, width) if channels == 1 else (height, width, channels)
    if pixels is None or pixels.shape != shape or pixels.dtype != kind:
        raise InputError(f"{where}: damaged, or not {channels} channels of {np.dtype(kind)}")
    return np.asarray(pixels)


# ---------------------------------------------------------------------- shards
class Entry(NamedTuple):
    """Where the files of one picture lie in a shard: extension, then offset and size in bytes."""

    key: str
    files: dict[str, tuple[int, int]]


def entries(shard: str | os.PathLike[str]) -> list[Entry]:
    """What is in a shard, in order, without reading its data. Raises InputError, naming it, for a damaged file."""
    shard = Path(shard)
    found: list[Entry] = []
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                if not member.isreg() or "/" in member.name or not extension or member.size > _MAX_MEMBER:
                    raise InputError(f"{shard}: holds {member.name!r}, which monocap synth does not write")
                if not found or found[-1].key != key:
                    found.append(Entry(key, {}))
                found[-1].files[extension] = (member.offset_data, member.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{shard}: not a whole shard ({error}); run the same monocap synth render again") from error
    whole = os.path.getsize(shard)
    if not found or any(at + size > whole for entry in found for at, size in entry.files.values()):
        raise InputError(f"{shard}: the shard is cut short; run the same monocap synth render again")
    return found


def read_entry(shard: str | os.PathLike[str], entry: Entry) -> SynthSample:
    """One picture of a shard. Raises InputError if its files are damaged."""
    return decode(_contents(shard, entry, entry.files), f"{shard}: {entry.key}")


def _contents(shard: str | os.PathLike[str], entry: Entry, extensions: Iterable[str]) -> dict[str, bytes]:
    files = {}
    with open(shard, "rb") as handle:
        for extension in extensions:
            at, size = entry.files[extension]
            handle.seek(at)
            files[extension] = handle.read(size)
    return files


def _who(shard: Path, entry: Entry) -> list[int]:
    """Numbers of the people of `SynthSample.samples`, without decoding a picture."""
    where = f"{shard}: {entry.key}"
    if not {"truth.npz", "mask.png"} <= entry.files.keys():
        raise InputError(f"{where}: lacks its truth; the shard is damaged or not of monocap synth")
    files = _contents(shard, entry, ("truth.npz", "mask.png"))
    truth, header = _truth(files["truth.npz"], where), files["mask.png"]
    width, height = int.from_bytes(header[16:20]), int.from_bytes(header[20:24])
    return [p for p, _, _ in shown(truth["box"], truth["pixels"], width, height)]


def read_shard(shard: str | os.PathLike[str]) -> Iterator[SynthSample]:
    """All pictures of a shard, in order."""
    for entry in entries(shard):
        yield read_entry(shard, entry)


def read_index(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``index.json`` of a folder of shards says. Raises InputError if it is none."""
    path = Path(folder) / INDEX
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["schema"] == SCHEMA and isinstance(content["planned"] - content["count"], int)
        for shard in content["shards"]:
            known &= {"file", "first", "count", "people", "bytes", "sha256"} <= set(shard)
            known &= Path(shard["file"]).name == shard["file"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the index of a folder of monocap synth ({error!r})") from error
    if not known:
        raise InputError(f"{path}: schema {content['schema']!r}; expected {SCHEMA!r}")
    return content


def is_synthetic(path: Path) -> bool:
    """Whether a path is a folder of shards, or one shard."""
    if path.is_file():
        return path.suffix == ".tar" and path.name.startswith("synth-")
    try:
        read_index(path)
    except InputError:
        return False
    return True


def read_synthetic(path: str | os.PathLike[str]) -> Collection:
    """People of a folder that ``monocap synth render`` wrote, or of one shard, as a data set: one sample per person.

    A shard that is missing or damaged is told by ``unreadable``, not dropped.
    """
    path = Path(path)
    if path.is_file():
        return Collection(INFO, [_part(path, None)])
    index = read_index(path)
    info = replace(INFO, name=str(index.get("name", INFO.name)))
    parts = [_part(path / shard["file"], shard, info) for shard in index["shards"]]
    if index["count"] < index["planned"]:
        left = f"{path}: {index['count']} of {index['planned']} samples; run the same monocap synth render again"
        parts.append(Part("unfinished", 0, None, left))
    return Collection(info, parts)


def _part(shard: Path, told: Mapping[str, Any] | None, info: DatasetInfo = INFO) -> Part:
    def measure() -> int:
        if told is None:
            return sum(len(_who(shard, entry)) for entry in entries(shard))
        size = shard.stat().st_size if shard.is_file() else None
        if size != told["bytes"]:
            state = "is missing" if size is None else f"has {size} bytes instead of {told['bytes']}"
            raise InputError(f"{shard}: the shard {state}; run the same monocap synth render again")
        return int(told["people"])

    def load() -> Any:
        people: list[tuple[Entry, int]] = []
        for entry in entries(shard):
            people += [(entry, place) for place in range(len(_who(shard, entry)))]
        last: list[tuple[str, list[Sample]]] = []

        def sample(index: int) -> Sample:
            entry, place = people[index]
            if not last or last[0][0] != entry.key:
                last[:] = [(entry.key, read_entry(shard, entry).samples(info, shard.stem))]
            return last[0][1][place]

        return sample

    return Part.opened(shard.stem, measure, load)
