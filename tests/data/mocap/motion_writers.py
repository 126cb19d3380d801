"""Small motion files in the published layouts, written here so that every number in them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

# name: (parent, direction, length, axis in degrees, degrees of freedom), as in CMU's .asf files
ASF_BONES: dict[str, tuple[str, tuple[float, float, float], float, tuple[float, float, float], str]] = {
    "lhipjoint": ("root", (0.6, -0.7, 0.35), 2.4, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0.34202, -0.939693, 0), 7.2, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0.34202, -0.939693, 0), 7.3, (0, 0, 20), "rx"),
    "lfoot": ("ltibia", (0.0666, -0.1829, 0.9809), 2.4, (-90, 0, 20), "rx rz"),
    "ltoes": ("lfoot", (0, 0, 1), 1.2, (-90, 0, 20), "rx"),
    "rhipjoint": ("root", (-0.6, -0.7, 0.35), 2.4, (0, 0, 0), ""),
    "rfemur": ("rhipjoint", (-0.34202, -0.939693, 0), 7.2, (0, 0, -20), "rx ry rz"),
    "rtibia": ("rfemur", (-0.34202, -0.939693, 0), 7.3, (0, 0, -20), "rx"),
    "rfoot": ("rtibia", (-0.0666, -0.1829, 0.9809), 2.4, (-90, 0, -20), "rx rz"),
    "rtoes": ("rfoot", (0, 0, 1), 1.2, (-90, 0, -20), "rx"),
    "lowerback": ("root", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "thorax": ("upperback", (0, 1, 0), 2.0, (0, 0, 0), "rx ry rz"),
    "lowerneck": ("thorax", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
    "head": ("upperneck", (0, 1, 0), 1.7, (0, 0, 0), "rx ry rz"),
    "lclavicle": ("thorax", (0.94, 0.33, 0), 3.5, (0, 0, 0), "ry rz"),
    "lhumerus": ("lclavicle", (1, 0, 0), 5.0, (180, -30, -90), "rx ry rz"),
    "lradius": ("lhumerus", (1, 0, 0), 3.5, (180, -30, -90), "rx"),
    "lwrist": ("lradius", (1, 0, 0), 1.7, (0, 90, 90), "ry"),
    "lhand": ("lwrist", (1, 0, 0), 0.7, (0, 90, 90), "rx rz"),
    "rclavicle": ("thorax", (-0.94, 0.33, 0), 3.5, (0, 0, 0), "ry rz"),
    "rhumerus": ("rclavicle", (-1, 0, 0), 5.0, (180, 30, 90), "rx ry rz"),
    "rradius": ("rhumerus", (-1, 0, 0), 3.5, (180, 30, 90), "rx"),
    "rwrist": ("rradius", (-1, 0, 0), 1.7, (0, -90, -90), "ry"),
    "rhand": ("rwrist", (-1, 0, 0), 0.7, (0, -90, -90), "rx rz"),
}


def write_asf(path: Path) -> Path:
    """A skeleton like CMU's, lengths in inches / 0.45."""
    lines = [":version 1.10", ":units", "  length 0.45", "  angle deg", ":root", "  order TX TY TZ RX RY RZ"]
    lines += ["  axis XYZ", "  position 0 0 0", "  orientation 0 0 0", ":bonedata"]
    for number, (name, (_, direction, length, axis, freedom)) in enumerate(ASF_BONES.items(), start=1):
        lines += ["  begin", f"     id {number}", f"     name {name}"]
        lines += ["     direction " + " ".join(map(str, direction)), f"     length {length}"]
        lines += ["     axis " + " ".join(map(str, axis)) + "  XYZ"]
        lines += [f"    dof {freedom}"] if freedom else []
        lines += ["  end"]
    lines += [":hierarchy", "  begin"]
    for parent in dict.fromkeys(bone[0] for bone in ASF_BONES.values()):
        lines.append("    " + " ".join([parent, *(name for name, bone in ASF_BONES.items() if bone[0] == parent)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "  end", ""]))
    return path


def write_amc(path: Path, frames: Sequence[Mapping[str, Sequence[float]]]) -> Path:
    """Frames as {bone: degrees}; what is not named is 0. ``root`` has six numbers."""
    wanted = {"root": 6, **{name: len(bone[4].split()) for name, bone in ASF_BONES.items() if bone[4]}}
    lines = ["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for number, frame in enumerate(frames, start=1):
        lines.append(str(number))
        for name, count in wanted.items():
            values = frame.get(name, (0.0,) * count)
            lines.append(" ".join([name, *(f"{value:.6f}" for value in values)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    return path


def wandering(rng: np.random.Generator, frames: int, fps: float = 120.0) -> list[dict[str, list[float]]]:
    """A person who swings arms and legs about at human pace, ``frames`` frames of it."""
    time = np.arange(frames) / fps
    reach = {
        "lfemur": (25, 6, 6), "rfemur": (25, 6, 6), "lhumerus": (25, 20, 35), "rhumerus": (25, 20, 35),
        "thorax": (6, 10, 5), "lowerback": (6, 6, 4), "head": (10, 15, 6),
    }  # fmt: skip
    phase = {name: rng.uniform(0, 6, (len(size), 2)) for name, size in reach.items()}
    bends = {name: rng.uniform(0, 6) for name in ("ltibia", "rtibia", "lradius", "rradius")}
    made = []
    for t in time:
        frame = {
            name: [a * float(np.sin((1.1 + 0.4 * p[1]) * t + p[0])) for a, p in zip(size, phase[name], strict=True)]
            for name, size in reach.items()
        }
        frame |= {name: [45 + 35 * float(np.sin(1.7 * t + p))] for name, p in bends.items()}
        made.append({"root": [0.0, 17.0, 0.0, 0.0, 0.0, 0.0], **frame})
    return made


BVH_TREE = {
    "Hips": ("", (0, 0, 0)), "Spine": ("Hips", (0, 1.7, 2.6)), "Spine1": ("Spine", (0, 0.6, 3.4)),
    "Spine2": ("Spine1", (0, 0.3, 3.4)), "Spine3": ("Spine2", (0, 0, 3.4)), "Neck": ("Spine3", (0, -1.3, 8.9)),
    "Head": ("Neck", (0, -0.8, 4.6)), "RightShoulder": ("Spine3", (-1.2, -2, 6.4)),
    "RightArm": ("RightShoulder", (-5.9, 0, 0)), "RightForeArm": ("RightArm", (-11.9, 0, 0)),
    "RightHand": ("RightForeArm", (-10.2, 0, 0)), "LeftShoulder": ("Spine3", (1.2, -2, 6.4)),
    "LeftArm": ("LeftShoulder", (5.9, 0, 0)), "LeftForeArm": ("LeftArm", (11.9, 0, 0)),
    "LeftHand": ("LeftForeArm", (10.2, 0, 0)), "LeftHandEnd": ("LeftHand", (2.8, 0, 0)),
    "RightUpLeg": ("Hips", (-3.5, 0, -1)), "RightLeg": ("RightUpLeg", (0, 0, -17.8)),
    "RightFoot": ("RightLeg", (0, 0, -16.9)), "RightToeBase": ("RightFoot", (0, -5.4, -2)),
    "LeftUpLeg": ("Hips", (3.5, 0, -1)), "LeftLeg": ("LeftUpLeg", (0, 0, -17.8)),
    "LeftFoot": ("LeftLeg", (0, 0, -16.9)), "LeftToeBase": ("LeftFoot", (0, -5.4, -2)),
}  # fmt: skip


def bvh_text(motion: Sequence[Mapping[str, Sequence[float]]], seconds: float = 1 / 60) -> str:
    """A Z-up rig in inches that faces −y, channels Z X Y; frames as {joint: degrees}, Hips position then rotation."""
    names = list(BVH_TREE)
    lines: list[str] = ["HIERARCHY"]

    def describe(name: str, depth: int) -> None:
        pad = "\t" * depth
        parent, offset = BVH_TREE[name]
        channels = "Zrotation Xrotation Yrotation"
        lines.extend([f"{pad}{'JOINT' if parent else 'ROOT'} {name}", f"{pad}{{"])
        lines.append(f"{pad}\tOFFSET " + " ".join(map(str, offset)))
        lines.append(
            f"{pad}\tCHANNELS " + (f"3 {channels}" if parent else f"6 Xposition Yposition Zposition {channels}")
        )
        children = [child for child in names if BVH_TREE[child][0] == name]
        for child in children:
            describe(child, depth + 1)
        if not children:
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET 0 0 1", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    describe("Hips", 0)
    order = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {seconds:.7f}"]
    for frame in motion:
        values: list[float] = []
        for name in order:
            values += list(frame.get(name, (0.0,) * (3 if BVH_TREE[name][0] else 6)))
        lines.append(" ".join(f"{value:.6f}" for value in values))
    return "\n".join([*lines, ""])
