"""What each stage of VNect brings on synthetic videos with truth: raw maps, + filters, + bone lengths, + kinematic fit.

    python tools/measure_vnect.py OUT --mocap 007_01.bvh 016_35.bvh … --weights vnect_light.onnx [--frames 120]

Renders one person per motion capture file (CMU, of performers that no shipped network has seen) to OUT/NN.mp4 with its
truth, or takes those that are there, follows them, and prints a table over all frames: 3D-PCK at 150 mm and AUC over
VNect's first 17 joints, MPJPE in mm about the pelvis, acceleration error in m/s²; then medians: how far the
person's place is from the truth, with the height known and not, how far standing toes move, and after how many frames
they are followed again that a bar had hidden.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from monocap import capture, metrics
from monocap.bodies import BodyModel, load_body
from monocap.data.mocap.bvh import read_bvh
from monocap.data.mocap.retarget import retarget
from monocap.data.mocap.rigs import in_metres, recognise
from monocap.files import read_npz, write_npz
from monocap.fitting.smplifyx.energy import stature
from monocap.media.readers import open_media
from monocap.media.writers import VideoWriter
from monocap.perception import PeopleDetector
from monocap.perception.regressor import Runnable
from monocap.perception.vnect import ROOT, VNect
from monocap.pipeline.vnect.networks import open_vnect
from monocap.pipeline.vnect.run import VNectCapture
from monocap.skeletons import get, mapping
from monocap.skeletons.vnect import on_body
from monocap.synth.clips import SyntheticClip
from monocap.types import Array, Camera, Frame

FPS, JUDGED = 30.0, 17
HIDDEN = (60, 75)  # frames that a bar hides


@dataclass(frozen=True)
class Clip:
    path: Path
    points: Array  # (T,127,3)
    camera: Camera
    height: float

    @property
    def joints(self) -> Array:
        return np.einsum("kj,tjc->tkc", on_body(), self.points)

    def frames(self, hide: bool = False) -> Iterator[Frame]:
        for frame in open_media(self.path):
            image = frame.image
            if hide and HIDDEN[0] <= frame.index < HIDDEN[1]:
                image = image.copy()
                at = self.points[min(frame.index, len(self.points) - 1)]
                x = self.camera.fx * at[:, 0] / at[:, 2] + self.camera.cx
                low, high = max(0, int(x.min()) - 30), min(image.shape[1], int(x.max()) + 30)
                image[:, low:high] = (90, 100, 110)
            yield Frame(image, frame.index, frame.time)


class Remembered:
    """A network that does not look at the same crop twice."""

    def __init__(self, network: Runnable) -> None:
        self._network, self._said = network, dict[bytes, list[Array]]()

    def run(self, names: Sequence[str], given: dict[str, Array]) -> list[Array]:
        key = hashlib.sha256(b"".join(np.ascontiguousarray(value).data for value in given.values())).digest()
        if key not in self._said:
            self._said[key] = [np.asarray(value) for value in self._network.run(names, given)]
        return self._said[key]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--mocap", type=Path, nargs="*", default=[])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--beside", action="store_true", help="also capture with --preset fast")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    body = load_body("open")
    with threadpool_limits(1):
        for number, path in enumerate(options.mocap):
            if not (options.out / f"{number:02d}.npz").exists():
                render(body, path, number, options.frames, options.out / f"{number:02d}.mp4")
        clips = [read(path) for path in sorted(options.out.glob("[0-9][0-9].npz"))]
        network, detector = open_vnect(options.weights, threads=1), PeopleDetector(threads=1)
        rows: dict[str, list[Array]] = {}
        plain = network._network
        for clip in clips:
            network._network = Remembered(plain)
            follow(body, clip, network, detector, rows)
        if options.beside:
            for clip in clips:
                beside(clip, rows)
    for name, values in rows.items():
        joined = np.concatenate(values)
        if joined.ndim == 2:
            pck, auc, mpjpe, shaken = np.nanmean(joined, axis=0)
            print(
                f"{name:34} PCK {100 * pck:5.1f}  AUC {100 * auc:5.1f}  MPJPE {1e3 * mpjpe:6.1f} mm  {shaken:6.2f} m/s²"
            )
        else:
            print(f"{name:34} {np.median(joined):.3f}  (of {len(joined)})")


def render(body: BodyModel, mocap: Path, number: int, frames: int, path: Path) -> None:
    clip = read_bvh(mocap, 1.0)
    moved = retarget(in_metres(clip, recognise(clip)), body, fps=FPS)
    start = max(0, (moved.frames - frames) // 2)
    part = slice(start, start + frames)
    scene = SyntheticClip(body, moved.body_pose[part], moved.global_orient[part], moved.transl[part], number)
    points = []
    with VideoWriter(path, FPS, (scene.camera.width, scene.camera.height), crf=16) as writer:
        for frame in scene:
            writer.write(frame.image)
            points.append(frame.points)
            if len(points) % 20 == 0:
                print(f"{path.name}: {len(points)} of {len(scene)} frames", flush=True)
    tall, slope = stature(body)
    height = tall + float(slope @ scene.betas[: len(slope)])
    write_npz(path.with_suffix(".npz"), {"points": np.stack(points), "K": scene.camera.K, "height": np.array(height)})


def read(path: Path) -> Clip:
    arrays = read_npz(path)
    K = arrays["K"]
    media = open_media(path.with_suffix(".mp4"))
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], media.width, media.height)
    return Clip(path.with_suffix(".mp4"), arrays["points"].astype(np.float64), camera, float(arrays["height"]))


def follow(body: BodyModel, clip: Clip, network: VNect, detector: PeopleDetector, rows: dict[str, list[Array]]) -> None:
    truth = clip.joints
    for told, height in (("", clip.height), (", height unknown", None)):
        live = VNectCapture(network, detector, body, height)
        for frame in clip.frames():
            live.step(frame, clip.camera)
        found = live.finish(clip.camera)
        if not found:
            print(f"{clip.path.name}: nobody followed")
            continue
        track, estimate = max(found, key=lambda one: one[0].valid.sum())
        seen = np.flatnonzero(track.valid)
        print(f"{clip.path.name}{told}: followed in {len(seen)} of {len(truth)} frames, {len(found)} people")
        away = np.linalg.norm(estimate.joints[seen, 0] - truth[seen, ROOT], axis=1) / truth[seen, ROOT, 2]
        rows.setdefault(f"place, of the distance{told}", []).append(away)
        if height is None:
            continue
        poses = live.poses(track.track_id)
        for name in ("raw", "filtered", "own"):
            label = {"raw": "raw maps", "filtered": "+ filters", "own": "+ bone lengths"}[name]
            judge(label, np.stack([getattr(pose, name) for pose in poses]), truth, seen, rows)
        fitted = np.stack([pose.fit.points for pose in poses])
        judge("+ kinematic fit", fitted, truth, seen, rows)
        slide("standing feet move, mm a frame, live", fitted, truth, seen, rows)
    live = VNectCapture(network, detector, body, clip.height)
    back = np.nan
    if len(truth) <= HIDDEN[1]:
        return
    for frame in clip.frames(hide=True):
        if live.step(frame, clip.camera) and frame.index >= HIDDEN[1]:
            back = frame.index - HIDDEN[1]
            break
    rows.setdefault("frames until followed again", []).append(np.array([back]))
    print(f"{clip.path.name}: followed again after {back} frames", flush=True)


def beside(clip: Clip, rows: dict[str, list[Array]]) -> None:
    motion = capture(clip.path, preset="fast", intrinsics=clip.camera, height=clip.height, people="largest")
    if not motion.people:
        return
    a, b = mapping("smplx55", "vnect21")
    names = get("smplx55").joint_names
    joints = np.full((motion.frames, 21, 3), np.nan)
    joints[:, b] = motion.joints[0][:, a]
    joints[:, get("vnect21").index("spine")] = motion.joints[0][:, names.index("spine2")]
    joints[:, get("vnect21").index("head")] = motion.joints[0][:, names.index("head")]
    known = np.isfinite(joints).all(axis=(0, 2))
    seen = np.flatnonzero(motion.valid[0])
    judge("capture --preset fast, 16 joints", joints[seen], clip.joints, seen, rows, known)
    rows.setdefault("place, of the distance, fast", []).append(
        np.linalg.norm(motion.joints[0][seen, 0] - clip.joints[seen, ROOT], axis=1) / clip.joints[seen, ROOT, 2]
    )


def slide(name: str, joints: Array, truth: Array, seen: Array, rows: dict[str, list[Array]]) -> None:
    feet = [get("vnect21").index(f"{side}_toe") for side in ("left", "right")]
    whole = seen[1:] - seen[:-1] == 1
    standing = metrics.foot_contact(truth[seen][:, feet], FPS, 0.1) & whole[:, None]
    moved = np.linalg.norm(np.diff(joints[:, feet], axis=0), axis=-1)
    if standing.any():
        rows.setdefault(name, []).append(1e3 * moved[standing])


def judge(name: str, joints: Array, truth: Array, seen: Array, rows: dict[str, list[Array]], known=None) -> None:
    keep = [j for j in range(JUDGED) if known is None or known[j]]
    root = keep.index(ROOT)
    got, true = joints[:, keep], truth[seen][:, keep]
    got, true = got - got[:, root : root + 1], true - true[:, root : root + 1]
    shaken = np.full(len(seen), np.nan)
    steady = (seen[2:] - seen[:-2]) == 2
    shaken[1:-1][steady] = metrics.accel_error(got, true, fps=FPS)[steady]
    per = [metrics.pck(got, true, 0.15, root), metrics.auc(got, true, root), metrics.mpjpe(got, true, root), shaken]
    rows.setdefault(name, []).append(np.stack(per, axis=1))


if __name__ == "__main__":
    main()
