"""Puts the page together: HTML, style, script and three.js from this folder, motion and bodies as data inside.

Nothing leaves the page: its content security policy allows the scripts by their hash and no address at all (but a
video file beside it, where the video is too large to be embedded).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from monocap.bodies import BodyModel
from monocap.errors import InputError
from monocap.export import present, skin_texture, write_glb
from monocap.files import replacing
from monocap.geometry import transforms
from monocap.media.readers import Media
from monocap.render import person_colour
from monocap.types import Array, Motion
from monocap.view.preview import write_preview

MAX_EMBEDDED = 24_000_000
"""Bytes of video that the page carries itself; a larger one lies beside it."""


def write_page(
    path: str | os.PathLike[str],
    motion: Motion,
    body: BodyModel,
    media: Media | None = None,
    *,
    title: str | None = None,
    skin: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write a motion as a self-contained HTML page; returns the files written.

    ``media`` is what was captured: it is re-encoded small (H.264, JPEG), at the motion's own times, so that every
    browser plays it, and embedded; a video that stays above `MAX_EMBEDDED` bytes is written beside the page as
    ``STEM.mp4``. Without ``media`` there is only the 3D view. ``skin`` as in `export.skin_texture`.

    Raises InputError if motion, body and skin do not fit each other or there is no frame, MediaError if the media
    cannot be read.
    """
    path = Path(path)
    if motion.frames == 0:
        raise InputError(f"{path}: a motion without frames cannot be shown")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.glb"
        write_glb(model, motion, body, texture=skin_texture(body, skin))
        packed = model.read_bytes()
        written, shown, inside = [path], None, b""
        if media is not None:
            preview = write_preview(Path(folder) / "preview", motion, media, progress)
            shown = {"kind": media.kind, "type": {".mp4": "video/mp4", ".jpg": "image/jpeg"}[preview.suffix]}
            if preview.stat().st_size <= MAX_EMBEDDED:
                inside = preview.read_bytes()
            else:
                beside = path.with_suffix(preview.suffix)
                if any(beside.resolve() == file.resolve() for file in media.files):
                    raise InputError(f"{path}: {beside.name} beside it would replace the input; choose another name")
                with replacing(beside) as temporary:
                    temporary.write_bytes(preview.read_bytes())
                shown["file"] = quote(beside.name)
                written.append(beside)
    text = _page(_facts(motion, shown, title), packed, inside)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return written


def _facts(motion: Motion, media: dict[str, str] | None, title: str | None) -> dict[str, Any]:
    """What page.js needs to know besides the bodies."""
    seen = present(motion)
    count = f"{len(seen)} {'person' if len(seen) == 1 else 'people'}"
    rate = "" if motion.frames == 1 else f" · {motion.frames} frames at {motion.fps:.4g} per second"
    return {
        "title": title or "Motion",
        "about": f"{count}{rate} · {motion.body_model} body",
        "image_size": [int(v) for v in motion.image_size],
        "frame_index": [int(v) for v in motion.frame_index[:1]],
        "time": _base64(np.asarray(motion.time, "<f8")),
        "K": _base64(_still(motion.K)),
        "T_world_camera": _base64(_still(motion.T_world_camera)),
        "bounds": _bounds(motion, seen),
        "media": media,
        "people": [
            {
                "name": f"person_{int(motion.track_id[p]):02d}",
                "track_id": int(motion.track_id[p]),
                "colour": "#" + "".join(f"{round(255 * c):02x}" for c in person_colour(int(motion.track_id[p]))),
                "seen": _base64(np.asarray(motion.valid[p], np.uint8)),
            }
            for p in seen
        ],
    }


def _still(matrices: Array) -> Array:
    """(T,…) float32, or the one matrix that all frames share."""
    matrices = np.asarray(matrices, "<f4")
    return matrices[:1] if (matrices == matrices[:1]).all() else matrices


def _bounds(motion: Motion, people: list[int]) -> list[list[float]]:
    """Lowest and highest corner of where people are, world frame, metres."""
    valid = np.asarray(motion.valid, bool)
    places = [
        transforms.apply(np.asarray(motion.T_world_camera, np.float64), np.asarray(motion.joints[p], np.float64))[
            valid[p]
        ]
        for p in people
    ]
    if not places:
        return [[-1.0, 0.0, -1.0], [1.0, 1.8, 1.0]]
    points = np.concatenate([place.reshape(-1, 3) for place in places])
    return np.percentile(points, [0.5, 99.5], axis=0).tolist()  # one wild frame must not set the stage


def _page(facts: dict[str, Any], model: bytes, media: bytes) -> str:
    parts = {name: _asset(name) for name in ("page.html", "page.css", "page.js", "three.min.js")}
    beside = bool(facts["media"] and "file" in facts["media"])
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{_digest(parts[name])}'" for name in ("three.min.js", "page.js")),
        "style-src": "'unsafe-inline'",
        "img-src": "blob:",
        "media-src": "blob: 'self' file:" if beside else "blob:",
        "connect-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    filled = {
        "CSP": "; ".join(f"{key} {value}" for key, value in policy.items()),
        "TITLE": html.escape(facts["title"]),
        "CSS": parts["page.css"],
        "FACTS": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
        "MODEL": base64.b64encode(model).decode(),
        "MEDIA": base64.b64encode(media).decode(),
        "THREE": parts["three.min.js"],
        "JS": parts["page.js"],
    }
    head, *rest = parts["page.html"].split("@")
    out = [head]
    for at, piece in enumerate(rest):
        out.append(filled[piece] if at % 2 == 0 else piece)
    return "".join(out)


def _asset(name: str) -> str:
    return (resources.files("monocap.view") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _base64(array: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
