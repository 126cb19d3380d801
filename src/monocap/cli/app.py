"""Verbs, flags and their help; the work is done in the modules of the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp

from monocap.errors import InputError


def build() -> SubcommandApp:
    """All verbs that exist. Nothing here imports numpy or anything that is slow to import."""
    app = SubcommandApp()

    @app.command
    def capture(
        inputs: tyro.conf.Positional[tuple[Path, ...]],
        /,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out"),
        preset: Literal["fast", "balanced", "accurate"] = "balanced",
        body: str = "open",
        focal: Annotated[str, tyro.conf.arg(metavar="PX|auto")] = "auto",
        fov: Annotated[float | None, tyro.conf.arg(metavar="DEG")] = None,
        height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None,
        smooth: Annotated[str, tyro.conf.arg(metavar="auto|off|FLOAT")] = "auto",
        formats: Annotated[str | None, tyro.conf.arg(metavar="npz,glb,…")] = None,
        overlay: bool = True,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Photos and videos in; posed body, animated avatar and overlay out.

        Args:
            inputs: photos or videos; with several, each gets a folder of its own.
            out: folder for the results, made if absent.
            preset: fast: light keypoint network; balanced: the heavy one; accurate: also searches photos harder.
            body: "open" (shipped), or an official SMPL-X .npz file.
            focal: focal length in pixels of the full picture; auto: EXIF, else 0.9 × the longer side.
            fov: instead of focal: field of view in degrees across the longer side.
            height: the person's height, if known: fixes size and distance.
            smooth: smoothing of videos: auto (= 1), off, or a factor.
            formats: files to write, by default npz,glb for videos and npz,glb,obj for photos.
            overlay: also draw the body over the input.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli.capture import run
        from monocap.pipeline.settings import CaptureSettings

        settings = CaptureSettings(
            preset=preset,
            body=body,
            focal=None if focal == "auto" else _number("focal", focal, "pixels or auto"),
            fov=fov,
            height=height,
            smooth=_number("smooth", {"auto": "1", "off": "0"}.get(smooth, smooth), "auto, off or a number"),
        )
        chosen = None if formats is None else [name for name in formats.split(",") if name]
        return run(list(inputs), out, settings, chosen, overlay, json)

    @app.command
    def weights(
        action: tyro.conf.Positional[Literal["list", "info", "verify"]],
        name: tyro.conf.Positional[str | None] = None,
        /,
    ) -> int:
        """What networks ship with the package, their licence and origin; verify reads and compares every file.

        Args:
            action: list, info NAME, or verify [NAME].
            name: a name from the list.
        """
        from monocap.cli.weights import run

        return run(action, name)

    @app.command
    def bodies(
        action: tyro.conf.Positional[Literal["list", "info"]],
        name: tyro.conf.Positional[str] = "open",
        /,
    ) -> int:
        """Body models: which ship, and what is in one.

        Args:
            action: list, or info [NAME or FILE].
            name: "open", or a body file.
        """
        from monocap.cli.bodies import run

        return run(action, name)

    @app.command
    def evaluate(
        what: tyro.conf.Positional[str],
        /,
        protocol: str = "limbs-12",
        data: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out/evaluate"),
        preset: Literal["fast", "balanced", "accurate"] = "accurate",
        bodies: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        regressor: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        gallery: int = 8,
        strict: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Compare with truth under a named protocol: JSON, Markdown beside published numbers, plots, worst cases.

        Args:
            what: capture (ours, on the data set's pictures), an .npz file of predictions, or: protocols (lists them).
            protocol: its name.
            data: the data set's folder; by default the development pictures that MONOCAP_SHARED points to.
            out: folder for the report, made if absent.
            preset: of capture.
            bodies: folder with official body files, where the truth is body parameters.
            regressor: H36M joint regressor, where the protocol takes joints from meshes.
            limit: at most so many samples, spread evenly.
            gallery: so many worst cases are drawn; 0 for none.
            strict: stop at the first bad sample instead of naming, skipping and counting it.
            json: print the report as JSON on standard output.
        """
        from monocap.cli.evaluate import list_protocols, run
        from monocap.evaluate.program import EvaluateOptions

        if what == "protocols":
            return list_protocols(json)
        options = EvaluateOptions(what, protocol, data, out, bodies, regressor, limit, gallery, strict, preset)
        return run(options, json)

    @app.command
    def bench(
        name: tyro.conf.Positional[Literal["capture", "kinematics", "bodies", "render", "fit"]],
        source: tyro.conf.Positional[Path | None] = None,
        /,
        preset: Literal["fast", "balanced", "accurate"] = "fast",
        repeats: int = 3,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Measure on this machine: medians of repeats, CPU time apart from wall time.

        Args:
            name: capture: frames per second, milliseconds per stage; kinematics, bodies: beside the reference and
                smplx, if installed; render: an overlay at 720p; fit: a motion with known truth.
            source: for capture, the video to use; by default the example of a source checkout.
            preset: for capture, as there.
            repeats: how often; the median is reported.
            json: one flat object on one line.
        """
        from monocap.cli.bench import run

        return run(name, source, preset, repeats, json)

    @app.command
    def doctor() -> int:
        """What works on this machine, and the exact remedy for what does not."""
        from monocap.cli.doctor import run

        return run()

    return app


def _number(flag: str, text: str, wanted: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{flag} is {text!r}; expected {wanted}") from None
