"""``monocap fit``."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path

from monocap.cli.capture import terminable
from monocap.cli.display import ProgressDisplay
from monocap.data.keypoint_files import find_keypoints
from monocap.data.keypoint_files.pictures import Pictures
from monocap.data.recordings import Recording
from monocap.errors import InputError, MonocapError
from monocap.fitting.smplifyx.result import Fitted
from monocap.pipeline.keypoint_fit.joints import fit_joints
from monocap.pipeline.keypoint_fit.outputs import check_formats, file_names
from monocap.pipeline.keypoint_fit.run import FitRequest, FitRun, read_set
from monocap.pipeline.lock import locked


def run(keypoints: Path, images: Path | None, out: Path, request: FitRequest, json: bool) -> int:
    """Fit every set of keypoints; with several, one that fails is told and the others still run. Returns the exit
    status."""
    check_formats(request.formats, video=False)
    places = find_keypoints(keypoints)
    pictures = _pictures(images, [name for name, _ in places])
    first = read_set(places[0][1], request.settings, pictures[0])  # what is wrong with it is told before OUT is made
    folders = [out] if len(places) == 1 else [out / name for name in file_names([name for name, _ in places])]
    summaries, failures = [], 0
    with terminable(), locked(out):
        fit = FitRun(request)
        for number, ((name, place), folder, own) in enumerate(zip(places, folders, pictures, strict=True), 1):
            label = f"[{number}/{len(places)}] {name}" if len(places) > 1 else ""
            with ProgressDisplay(label) as display:
                try:
                    found = first if number == 1 else read_set(place, request.settings, own)
                    if isinstance(found, Recording):
                        summaries.append(fit_joints(found, place, folder, request, display, display.say))
                    else:
                        display.say(f"{place.name}: {found.kind}, {len(found.pictures)} pictures")
                        summaries.append(fit.run(found, own, folder, display, display.say))
                except MonocapError as error:
                    if len(places) == 1:
                        raise
                    failures += 1
                    display.say(f"monocap: {error}")
    if json:
        print(json_module.dumps({"results": summaries, "failures": failures}))
    return 2 if failures else 0


def plotter() -> Callable[[Path, Sequence[Fitted]], None]:
    """What draws the convergence. Raises MissingDependencyError, before the work, without matplotlib."""
    from monocap.evaluate.convergence import draw_convergence, require_matplotlib

    require_matplotlib()
    return draw_convergence


def _pictures(images: Path | None, names: list[str]) -> list[Pictures | None]:
    """Of each set: all from ``images``; several sets have a folder or a video of their name in it."""
    if images is None:
        return [None] * len(names)
    if not images.exists():
        raise InputError(f"{images}: no such file or folder; expected the pictures or the video of the keypoints")
    if len(names) == 1:
        return [Pictures(images)]
    inner = {path.name.casefold() if path.is_dir() else path.stem.casefold(): path for path in sorted(images.iterdir())}
    found = [inner.get(name.casefold()) for name in names]
    return [None if path is None else Pictures(path) for path in found]
