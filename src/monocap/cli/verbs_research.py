"""Verbs for research, their flags and help; `evaluate.py`, `bench.py`, `data.py` and `synth.py` work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp

from monocap.errors import InputError


def add(app: SubcommandApp) -> None:
    """Give ``app`` these verbs. Nothing here imports numpy or anything that is slow to import."""

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
        engine: Literal["auto", "fit", "hmr", "smpler", "vnect"] = "fit",
        weights: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
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
            what: capture (ours, on the data set's pictures), regress (what its regression network says, nothing
                fitted), an .npz file of predictions, protocols (lists them), or prior (pose priors on the held-out
                performers of a pose corpus; takes data, out, limit and json); camera-bias (what the fixed focal length
                of crop networks does to true bodies) and tals (thresholds for training from it) take data with known
                cameras, out, body, limit and json.
            protocol: its name.
            data: the data set's folder; by default the development pictures that MONOCAP_SHARED points to.
            out: folder for the report, made if absent.
            preset: of capture.
            body: of capture; where meshes are compared, the data set's.
            camera: of capture: the data set's intrinsics, or what capture assumes without any.
            engine: of capture: fit, a network that starts it (hmr, smpler), or vnect, each picture alone; of regress:
                which network, smpler.
            weights: of the engine's network, instead of the shipped ones: an .onnx or converted .safetensors file.
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
        if what in ("camera-bias", "tals"):
            from monocap.cli import evaluate_camera

            return (evaluate_camera.bias if what == "camera-bias" else evaluate_camera.tals)(
                data, out, body, limit, json
            )
        from monocap.cli.evaluate import list_protocols, run
        from monocap.evaluate.program import EvaluateOptions

        if what == "protocols":
            return list_protocols(json)
        options = EvaluateOptions(
            what,
            protocol,
            data,
            out,
            bodies,
            regressor,
            limit,
            gallery,
            strict,
            preset,
            body,
            camera,
            engine,
            weights,
        )
        return run(options, json)

    @app.command
    def bench(
        name: tyro.conf.Positional[
            Literal[
                "capture",
                "kinematics",
                "bodies",
                "render",
                "synth",
                "fit",
                "smplifyx",
                "collision",
                "skeleton",
                "lbfgs",
                "smpler",
                "vnect",
            ]
        ],
        source: tyro.conf.Positional[Path | None] = None,
        /,
        preset: Literal["fast", "balanced", "accurate"] = "fast",
        weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        repeats: int = 3,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Measure on this machine: medians of repeats, CPU time apart from wall time.

        Args:
            name: capture: frames per second, milliseconds per stage; kinematics, bodies: beside the reference and
                smplx, if installed; render: an overlay at 720p; synth: synthetic pictures; fit: a motion with
                known truth; smplifyx: the fast fit beside the published one; collision: a mesh's meetings with itself;
                skeleton: the kinematic fit; lbfgs: the batched optimiser beside torch's; smpler: SMPLer beside its
                backbone, and what its attention costs; vnect: a video in real time, from frame to pose.
            source: for capture and vnect, the video to use; by default the example of a source checkout.
            preset: for capture, as there.
            weights: for vnect, another network than the shipped one.
            repeats: how often; the median is reported. For smplifyx and lbfgs: how many pictures.
            json: one flat object on one line.
        """
        from monocap.cli.bench import run

        return run(name, source, preset, weights, repeats, json)

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
    def synth(
        action: tyro.conf.Positional[Literal["render", "sheet", "benchmark"]],
        folder: tyro.conf.Positional[Path | None] = None,
        /,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None,
        count: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        corpus: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        size: Annotated[str, tyro.conf.arg(metavar="PX|WxH")] = "224",
        aspects: tyro.conf.FlagCreatePairsOff[bool] = False,
        people: Annotated[str, tyro.conf.arg(metavar="N|N-M")] = "1-4",
        split: Literal["train", "test"] = "train",
        quality: Literal["full", "fast"] = "full",
        backgrounds: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        vertices: tyro.conf.FlagCreatePairsOff[bool] = False,
        like: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
        refine: Annotated[Path | None, tyro.conf.arg(metavar="FILE.onnx")] = None,
        seed: int = 0,
        start: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0,
        per_shard: Annotated[int, tyro.conf.arg(metavar="N")] = 100,
        workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        sheet: tyro.conf.FlagCreatePairsOff[bool] = False,
        drawn: Literal["plain", "truth", "maps"] = "plain",
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Pictures of synthetic people with exact truth, as webdataset shards; free to use.

        Args:
            action: render: make pictures; sheet FOLDER: a contact sheet of them; benchmark: make synth-v1, the frozen
                1,000 pictures, and compare them with what was frozen.
            folder: of sheet: a folder that render wrote, or one shard.
            out: render, benchmark: folder for the shards, made if absent; complete ones are kept, others made (again).
                sheet: the picture to write.
            count: how many pictures (100; benchmark: 1,000; on a sheet: 48).
            corpus: render: poses of a folder that monocap data corpus wrote; else of the shipped priors.
            size: of the pictures.
            aspects: any usual aspect ratio instead, the longer side as long as size says.
            people: in each picture, within 1-4.
            split: train, or test: other performers, skins, fabrics and backgrounds.
            quality: fast: one ray per pixel and no shadows.
            backgrounds: your own pictures behind the people instead of drawn rooms and streets.
            vertices: keep the body's vertices too (they follow from the parameters).
            like: photographs whose colours, light and grain the pictures take on.
            refine: your own image-to-image network, which also sees the depth; pictures in which the keypoint network
                then finds people elsewhere stay as rendered.
            seed: of everything; the same seed and number give the same picture.
            start: the first number.
            per_shard: pictures in one file.
            workers: processes; 0: none beside this one. The files do not depend on it.
            sheet: render: also write a contact sheet beside the shards.
            drawn: sheet: the pictures, the truth over them, or all maps of each.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli import synth as verb

        if action == "sheet":
            return verb.sheet(folder, out, 48 if count is None else count, drawn)
        if folder is not None:
            raise InputError(f"synth {action} takes its folder as -o {folder}")
        if out is None:
            raise InputError(f"synth {action} needs a folder for the shards: -o DIR")
        if action == "benchmark":
            return verb.benchmark(out, workers, count, json)
        from monocap.synth.sampler import SynthSettings
        from monocap.synth.shards import ShardPlan

        settings = SynthSettings(
            seed, verb.parse_size(size), aspects, verb.parse_people(people), split, quality, corpus, backgrounds,
            vertices, like, refine,
        )  # fmt: skip
        plan = ShardPlan(settings, 100 if count is None else count, start, per_shard)
        return verb.render(plan, out, workers, sheet, json)
