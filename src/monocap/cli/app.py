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
        inputs: tyro.conf.Positional[tuple[str, ...]],
        /,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out"),
        preset: Literal["fast", "balanced", "accurate"] = "balanced",
        body: str = "open",
        focal: Annotated[str, tyro.conf.arg(metavar="PX|auto")] = "auto",
        fov: Annotated[float | None, tyro.conf.arg(metavar="DEG")] = None,
        camera: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None,
        smooth: Annotated[str, tyro.conf.arg(metavar="auto|off|FLOAT")] = "auto",
        people: Annotated[str, tyro.conf.arg(metavar="all|largest|N")] = "all",
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        duration: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
        formats: Annotated[str | None, tyro.conf.arg(metavar="npz,glb,…")] = None,
        overlay: bool = True,
        resume: tyro.conf.FlagCreatePairsOff[bool] = False,
        offline: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Photos and videos in; posed body, animated avatar and overlay out.

        Args:
            inputs: photos, videos, folders, patterns in quotes ("shots/**/*.mp4"), or a camera's number; with
                several, each gets a folder of its own.
            out: folder for the results, made if absent.
            preset: fast: light keypoint network; balanced: the heavy one; accurate: also searches photos harder.
            body: "open" (shipped), a name from monocap bodies list, or an official SMPL-X or SMPL-H file.
            focal: focal length in pixels of the full picture; auto: EXIF, else 0.9 × the longer side.
            fov: instead of focal: field of view in degrees across the longer side.
            camera: instead of both: a calibrated camera, as JSON (fx, fy, cx, cy, width, height) or from OpenCV.
            height: the person's height, if known: fixes size and distance.
            smooth: smoothing of videos: auto (= 1), off, or a factor.
            people: whom to keep: all, the largest, or the N most prominent.
            fps: the pictures of one folder are one video of so many frames per second, not photos.
            duration: of a recording from a camera; without it, Ctrl-C ends the recording.
            formats: files to write, by default npz,glb,bvh for videos and npz,glb,obj for photos; also vrma, amass,
                json, html.
            overlay: also draw the body over the input.
            resume: go on where the same capture was stopped; what is complete is left.
            offline: a promise that holds anyway: capture never uses the network.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli.capture import run
        from monocap.pipeline.run import Request
        from monocap.pipeline.settings import CaptureSettings

        intrinsics, notes = None, ()
        if camera is not None:
            from monocap.pipeline.calibration import read_camera

            intrinsics, distorted = read_camera(camera)
            if distorted:
                notes = (f"{camera} also tells of lens distortion, which is not corrected",)
        settings = CaptureSettings(
            preset=preset,
            body=body,
            focal=None if focal == "auto" else _number("focal", focal, "pixels or auto"),
            fov=fov,
            intrinsics=intrinsics,
            height=height,
            smooth=_number("smooth", {"auto": "1", "off": "0"}.get(smooth, smooth), "auto, off or a number"),
            people=_people(people),
        )
        chosen = None if formats is None else [name for name in formats.split(",") if name]
        return run(inputs, out, Request(settings, chosen, overlay, resume, fps, notes), duration, json)

    @app.command
    def export(
        motion: tyro.conf.Positional[Path],
        /,
        *,
        to: Annotated[str, tyro.conf.arg(metavar="glb|bvh|vrma|amass|obj|json")],
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")],
        person: Annotated[int | None, tyro.conf.arg(metavar="ID")] = None,
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        every: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        body: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
    ) -> int:
        """A captured motion as a file that other programs open.

        Args:
            motion: a motion.npz that capture wrote.
            to: glb: bodies with skin, animated; bvh: bones; vrma: animation for VRM avatars; amass: npz with SMPL-X
                poses, z up; obj: meshes, a folder of them for a video; json: lines of text, a frame each.
            out: the file; with several people, bvh, vrma and amass write one each, FILE_NN.
            person: only the person of this number (as in FILE_NN).
            fps: frames per second, resampled; for glb, bvh, vrma and amass.
            every: of obj: one frame in so many; by default as many as fit in 2 GB.
            body: where the motion's own body is not known by its name.
        """
        from monocap.cli.export import run

        return run(motion, to, out, person, fps, every, body)

    @app.command
    def view(
        motion: tyro.conf.Positional[Path],
        /,
        *,
        video: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.html")] = None,
        open: tyro.conf.FlagCreatePairsOff[bool] = False,
        body: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
    ) -> int:
        """A captured motion as one HTML page: video, overlay and 3D view in step; it needs no network.

        Args:
            motion: a motion.npz that capture wrote.
            video: what it was captured from, video or photo; without it there is only the 3D view.
            out: the page, by default beside the motion.
            open: also open it in the browser.
            body: where the motion's own body is not known by its name.
        """
        from monocap.cli.view import run

        return run(motion, video, out, open, body)

    @app.command
    def weights(
        action: tyro.conf.Positional[Literal["list", "info", "verify", "convert"]],
        name: tyro.conf.Positional[str | None] = None,
        /,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None,
    ) -> int:
        """What networks ship with the package, their licence and origin; verify reads and compares every file.

        Args:
            action: list, info NAME, verify [NAME], or convert FILE -o OUT: official VPoser and tokenizer weights into
                ours (.safetensors; needs monocap[torch]), or ours into an ONNX decoder (.onnx; needs monocap[train]).
            name: a name from the list, or the file to convert.
            out: of convert: the file to write.
        """
        from monocap.cli.weights import convert, run

        return convert(name, out) if action == "convert" else run(action, name)

    @app.command
    def bodies(
        action: tyro.conf.Positional[Literal["list", "info", "measure", "add", "convert"]],
        name: tyro.conf.Positional[str | None] = None,
        /,
        to: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        source: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.npz")] = None,
        as_name: Annotated[str | None, tyro.conf.arg(name="name", metavar="NAME")] = None,
        hands: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="LEFT RIGHT")] = None,
        kid_template: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None,
        betas: Annotated[str | None, tyro.conf.arg(metavar="B1,B2,…|NAME")] = None,
        wanted: Annotated[str | None, tyro.conf.arg(name="set", metavar="NAME=METRES,…")] = None,
        overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Body models: list them, what is in one, its measurements, add official files, convert motion between two.

        Args:
            action: list; info [NAME|FILE]; measure [NAME|FILE]; add FILE; or convert MOTION --to BODY -o FILE.
            name: info, measure: a name from the list or a body file (by default open); add: an official .npz or .pkl
                file of SMPL, SMPL-H, SMPL-X, MANO or FLAME; convert: a motion.npz or an AMASS file.
            to: convert: the body to convert to.
            source: convert: the body that the motion is of, where the file does not say.
            out: convert: the file to write.
            as_name: add: what to call it, by default as its file.
            hands: add: MANO's files for an SMPL-H without mean hands.
            kid_template: add: SMIL's template, for one more beta from adult to child.
            betas: measure: the shape to measure, by default the mean one: numbers (--betas=-1,0.5 where the first is
                negative), or female, male, neutral, child.
            wanted: measure: find the betas that have these measurements, such as stature=1.8,waist=0.85.
            overwrite: add: replace a body of the same name.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli import bodies

        if action == "list":
            return bodies.list_all(json)
        if action == "info":
            return bodies.info(name or "open", json)
        if action == "measure":
            return bodies.measure(name or "open", betas, wanted, json)
        if action == "add":
            return bodies.add(name, as_name, hands, kid_template, overwrite, json)
        return bodies.convert(name, source, to, out, json)

    @app.command
    def evaluate(
        what: tyro.conf.Positional[str],
        /,
        protocol: str = "limbs-12",
        data: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out/evaluate"),
        preset: Literal["fast", "balanced", "accurate"] = "accurate",
        body: str = "open",
        camera: Literal["given", "default"] = "given",
        bodies: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        regressor: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        gallery: int = 8,
        strict: tyro.conf.FlagCreatePairsOff[bool] = False,
        vposer: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "vposer",
        tokenizer: Annotated[str, tyro.conf.arg(metavar="NAME|FILE")] = "tokenizer",
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Compare with truth under a named protocol: JSON, Markdown beside published numbers, plots, worst cases.

        Args:
            what: capture (ours, on the data set's pictures), an .npz file of predictions, protocols (lists them), or
                prior (pose priors on the held-out performers of a pose corpus; takes data, out, limit and json).
            protocol: its name.
            data: the data set's folder; by default the development pictures that MONOCAP_SHARED points to.
            out: folder for the report, made if absent.
            preset: of capture.
            body: of capture; where meshes are compared, the data set's.
            camera: of capture: the data set's intrinsics, or what capture assumes without any.
            bodies: folder with official body files, where the truth is body parameters.
            regressor: H36M joint regressor, where the protocol takes joints from meshes.
            limit: at most so many samples, spread evenly.
            gallery: so many worst cases are drawn; 0 for none.
            strict: stop at the first bad sample instead of naming, skipping and counting it.
            vposer: of prior: the shipped weights, or a .safetensors file.
            tokenizer: of prior: the shipped weights, or a .safetensors file.
            json: print the report as JSON on standard output.
        """
        if what == "prior":
            from monocap.cli import evaluate_prior

            return evaluate_prior.run(data, out, vposer, tokenizer, limit, json)
        from monocap.cli.evaluate import list_protocols, run
        from monocap.evaluate.program import EvaluateOptions

        if what == "protocols":
            return list_protocols(json)
        options = EvaluateOptions(
            what, protocol, data, out, bodies, regressor, limit, gallery, strict, preset, body, camera
        )
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
    def data(
        action: tyro.conf.Positional[Literal["info", "label", "corpus"]],
        path: tyro.conf.Positional[Path],
        /,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out/labels"),
        kind: str | None = None,
        limit: int = 2000,
        decode: tyro.conf.FlagCreatePairsOff[bool] = False,
        body: str = "open",
        markers: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None,
        threshold: Annotated[float | None, tyro.conf.arg(metavar="MM|SHARE")] = None,
        height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None,
        unit: Literal["m", "cm", "mm"] | None = None,
        axes: Literal["z-up", "y-up", "camera"] | None = None,
        fps: float | None = None,
        skeleton: str | None = None,
        overwrite: tyro.conf.FlagCreatePairsOff[bool] = False,
        all_origins: tyro.conf.FlagCreatePairsOff[bool] = False,
        sheets: Annotated[int, tyro.conf.arg(metavar="N")] = 0,
        seed: int = 0,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Data sets: what one is (info); body parameters for recordings (label); a pose corpus of mocap (corpus).

        Args:
            action: info, or label: 3D joints, 3D markers or 2D keypoints to SMPL-X parameters, one npz per recording;
                or corpus: a folder of BVH, ASF/AMC and exponential-map files to one corpus of poses for train prior.
            path: for info a data set as its makers distribute it; for label an npz, JSON or CSV file, a folder of
                npz and CSV, or a data set with 3D joints.
            out: label: folder for the results; recordings that are there already are left.
            kind: info: the data set, where its layout does not tell.
            limit: info: how many samples, spread over the set, are checked.
            decode: info: also read every one of their pictures.
            body: label: "open" (shipped), a name from monocap bodies list, or an official file.
            markers: label: where markers sit on the body; by default a common set of 41 by name.
            threshold: label: accept frames with a residual up to so many millimetres (30 joints, 20 markers), for 2D a
                share of the person's extent (0.03).
            height: label: the person's height, if known.
            unit: label: of the 3D points, where the file does not say (metres).
            axes: label: which way is up in the 3D points, where the file does not say (z-up).
            fps: label: frames per second, where the file does not say (30).
            skeleton: label: joint set of the points, where the file has no names.
            overwrite: label: also fit recordings whose results are there.
            all_origins: corpus: also takes of children, games and other unclear origin; not for weights that ship.
            sheets: corpus: draw so many contact sheets, original above, body below.
            seed: corpus: of the recombined poses.
            json: print a machine-readable summary on standard output.
        """
        if action == "corpus":
            from monocap.cli.corpus import run

            return run(path, out, all_origins, sheets, seed, json)
        from monocap.cli.data import info, label_all

        if action == "info":
            return info(path, kind, limit, decode, json)
        return label_all(path, out, body, markers, threshold, height, unit, axes, fps, skeleton, overwrite, json)

    @app.command
    def train(
        task: tyro.conf.Positional[Literal["prior", "lifter"]],
        kind: tyro.conf.Positional[Literal["vposer", "tokenizer", "statistics"] | None] = None,
        /,
        *,
        data: Annotated[Path, tyro.conf.arg(metavar="DIR")],
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out/train"),
        seen: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        start: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        batch: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        learning_rate: Annotated[float | None, tyro.conf.arg(metavar="RATE")] = None,
        seed: int = 1,
        arch: Literal["vposer-v2", "vposer-v1"] = "vposer-v2",
        loss: Literal["shipped", "v1", "v2", "paper"] = "shipped",
        official_size: tyro.conf.FlagCreatePairsOff[bool] = False,
        accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        resume: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Train a network on your own data; needs monocap[train].

        Args:
            task: prior: what body poses are human; lifter: where a body is in space, from its landmarks in a picture.
            kind: of prior: vposer (a variational autoencoder), tokenizer (poses as tokens), or statistics (limits, a
                Gaussian and a mixture; needs no torch).
            data: for a prior, the folder of pose shards that monocap data corpus wrote; for the lifter, a folder of
                motion capture files.
            out: folder for checkpoint, log and weights, made if absent.
            seen: for the lifter, a folder of what the keypoint network said of renderings (tools/render_keypoints.py).
            start: for the lifter, weights to go on from.
            steps: length of the run; by default that of the shipped weights, as are batch and learning rate.
            batch: poses per step.
            learning_rate: at its highest.
            seed: of weights, batches and noise.
            arch: of VPoser.
            loss: of VPoser: that of the shipped weights, or as published.
            official_size: the tokenizer at TokenHMR's size (13 million weights; for a GPU).
            accelerator: auto takes a GPU where there is one.
            threads: of the processor.
            resume: go on from the checkpoint in the folder.
            json: print a machine-readable summary on standard output.
        """
        if task == "lifter":
            if kind is not None:
                raise InputError(f"train lifter takes no kind; leave {kind!r} out")
            from monocap.cli.train import run_lifter
            from monocap.train.tasks.lifter import LifterOptions

            options = LifterOptions(data, out, seen, start, steps, batch, seed, accelerator, threads, resume)
            return run_lifter(options, json)
        if kind is None:
            raise InputError("train prior needs its kind: vposer, tokenizer or statistics")
        if kind == "statistics":
            from monocap.cli.statistics import run

            return run(data, out, seed, json)
        from monocap.cli.train import run_prior
        from monocap.train.tasks.prior import PriorOptions

        return run_prior(
            PriorOptions(
                kind=kind, data=data, out=out, steps=steps, batch=batch, learning_rate=learning_rate, seed=seed,
                arch=arch, loss=loss, official_size=official_size, accelerator=accelerator, threads=threads,
                resume=resume,
            ),
            json,
        )  # fmt: skip

    @app.command
    def doctor() -> int:
        """What works on this machine, and the exact remedy for what does not."""
        from monocap.cli.doctor import run

        return run()

    return app


def _people(text: str) -> int | Literal["all", "largest"]:
    if text == "all" or text == "largest":
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise InputError(f"--people is {text!r}; expected all, largest, or a number from 1")


def _number(flag: str, text: str, wanted: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{flag} is {text!r}; expected {wanted}") from None
