"""``monocap view``."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from monocap.cli.display import ProgressDisplay
from monocap.cli.export import body_of
from monocap.media.readers import open_media
from monocap.types import Motion
from monocap.view import write_page


def run(path: Path, video: Path | None, out: Path | None, show: bool, body: str | None, skin: str | None = None) -> int:
    """Write a motion as one HTML page and, if asked, open it in the browser. Returns the exit status."""
    motion = Motion.load(path)
    media = None if video is None else open_media(video)
    title = path.name if video is None else video.name
    target = path.with_suffix(".html") if out is None else out
    with ProgressDisplay() as display:
        written = write_page(
            target,
            motion,
            body_of(motion, body),
            media,
            title=title,
            skin=skin,
            progress=lambda done, total: display("video", done, total),
        )
        for one in written:
            display.say(f"wrote {one}")
    if show:
        webbrowser.open(target.resolve().as_uri())
    return 0
