"""Verbs that make motion and take it elsewhere, their flags and help; `capture.py`, `fit.py` … do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp

from monocap.cli.arguments import capture_settings, parse_size
from monocap.errors import InputError


def add(app: SubcommandApp) -> None:
    """Give ``app`` these verbs. Nothing here imports numpy or anything that is slow to import."""

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
        engine: Literal["auto", "fit", "hmr", "smpler", "vnect"] = "fit",
        weights: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        smooth: Annotated[str, tyro.conf.arg(metavar="auto|off|FLOAT")] = "auto",
        people: Annotated[str, tyro.conf.arg(metavar="all|largest|N")] = "all",
        hands: bool = False,
        face: bool = False,
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        duration: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
        formats: Annotated[str | None, tyro.conf.arg(metavar="npz,glb,…")] = None,
        skin: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
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
            focal: focal length in pixels of the full picture; auto: EXIF, straight lines, or 0.9 × the longer side.
            fov: instead of focal: field of view in degrees across the longer side.
            camera: instead of both: a calibrated camera, as JSON (fx, fy, cx, cy, width, height) or from OpenCV.
            height: the person's height, if known: fixes size and distance.
            engine: fit: bodies are fitted to keypoints; hmr, smpler: with what such a network says as a start and a
                hint; vnect: a skeleton follows frame by frame, in real time; auto: what measures best.
            weights: of the engine's network, instead of the shipped ones: an .onnx or converted .safetensors file.
            smooth: smoothing of videos: auto (= 1), off, or a factor.
            people: whom to keep: all, the largest, or the N most prominent.
            hands: capture fingers and wrists too.
            face: capture jaw, eyes, expression and the head's turn too.
            fps: the pictures of one folder are one video of so many frames per second, not photos.
            duration: of a recording from a camera; without it, Ctrl-C ends the recording.
            formats: files to write, by default npz,glb,bvh for videos and npz,glb,obj for photos; also vrma, amass,
                json, html.
            skin: painted on GLB, OBJ and page: a name from monocap bodies info, or a JPEG or PNG for the body's uv.
            overlay: also draw the body over the input.
            resume: go on where the same capture was stopped; what is complete is left.
            offline: a promise that holds anyway: capture never uses the network.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli.capture import run
        from monocap.pipeline.run import Request

        settings, notes = capture_settings(
            body,
            focal,
            fov,
            camera,
            height,
            smooth,
            people,
            preset=preset,
            hands=hands,
            face=face,
            engine=engine,
            weights=weights,
        )
        chosen = None if formats is None else [name for name in formats.split(",") if name]
        return run(inputs, out, Request(settings, chosen, overlay, resume, fps, skin, notes), duration, json)

    @app.command
    def regress(
        inputs: tyro.conf.Positional[tuple[str, ...]],
        /,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out"),
        model: Literal["hmr", "smpler", "vnect"] = "hmr",
        weights: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        preset: Literal["fast", "balanced", "accurate"] = "fast",
        body: str = "open",
        focal: Annotated[str, tyro.conf.arg(metavar="PX|auto")] = "auto",
        fov: Annotated[float | None, tyro.conf.arg(metavar="DEG")] = None,
        camera: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        people: Annotated[str, tyro.conf.arg(metavar="all|largest|N")] = "all",
        smooth: Annotated[str, tyro.conf.arg(metavar="auto|off|FLOAT")] = "auto",
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        formats: Annotated[str | None, tyro.conf.arg(metavar="npz,glb,…")] = None,
        overlay: bool = True,
        resume: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """What a regression network says of people in photos and videos, nothing fitted: as quick as looking once.

        Args:
            inputs: photos, videos, folders, or patterns in quotes; with several, each gets a folder of its own.
            out: folder for the results, made if absent; they are those of capture.
            model: hmr, iterative regression from one vector; vnect, maps of joints, each frame's read alone; smpler, a
                transformer that looks where the joints are, of which none ships yet: with --weights.
            weights: instead: an .onnx file, or a converted .safetensors file (needs monocap[torch]).
            preset: of finding the people: fast, balanced or accurate, as in capture.
            body: "open" (shipped), a name from monocap bodies list, or an official SMPL-X or SMPL-H file.
            focal: focal length in pixels of the full picture; auto: EXIF, straight lines, or 0.9 × the longer side.
            fov: instead of focal: field of view in degrees across the longer side.
            camera: instead of both: a calibrated camera, as JSON (fx, fy, cx, cy, width, height) or from OpenCV.
            people: whom to keep: all, the largest, or the N most prominent.
            smooth: of videos, over what is said of each frame alone: auto (= 1), off, or a factor.
            fps: the pictures of one folder are one video of so many frames per second, not photos.
            formats: files to write, by default npz,glb,bvh for videos and npz,glb,obj for photos.
            overlay: also draw the body over the input.
            resume: go on where the same was stopped; what is complete is left.
            json: print a machine-readable summary on standard output.
        """
        from monocap.cli.capture import run
        from monocap.pipeline.run import Request

        settings, notes = capture_settings(
            body,
            focal,
            fov,
            camera,
            None,
            smooth,
            people,
            preset=preset,
            engine=model,
            weights=weights,
            refine=False,
        )
        chosen = None if formats is None else [name for name in formats.split(",") if name]
        return run(inputs, out, Request(settings, chosen, overlay, resume, fps, None, notes), None, json)

    @app.command
    def fit(
        keypoints: tyro.conf.Positional[Path],
        /,
        images: Annotated[Path | None, tyro.conf.arg(metavar="DIR|VIDEO")] = None,
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("out"),
        recipe: Literal["auto", "smplifyx", "smplify", "video", "skeleton"] = "auto",
        faithful: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
        fast: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
        body: str = "open",
        gender: Literal["neutral", "auto", "female", "male"] = "neutral",
        gender_weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        focal: Annotated[str, tyro.conf.arg(metavar="PX|auto")] = "auto",
        fov: Annotated[float | None, tyro.conf.arg(metavar="DEG")] = None,
        camera: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        size: Annotated[str | None, tyro.conf.arg(metavar="WIDTHxHEIGHT")] = None,
        height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None,
        people: Annotated[str, tyro.conf.arg(metavar="all|largest|N")] = "all",
        smooth: Annotated[str, tyro.conf.arg(metavar="auto|off|FLOAT")] = "auto",
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        interpenetration: bool = False,
        scan: Annotated[Path | None, tyro.conf.arg(metavar="DIR|FILE")] = None,
        masks: Annotated[Path | None, tyro.conf.arg(metavar="DIR|FILE")] = None,
        depths: Annotated[Path | None, tyro.conf.arg(metavar="DIR|FILE")] = None,
        skeleton: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
        unit: Annotated[Literal["m", "cm", "mm"] | None, tyro.conf.arg(metavar="m|cm|mm")] = None,
        axes: Annotated[Literal["z-up", "y-up", "camera"] | None, tyro.conf.arg(metavar="AXES")] = None,
        formats: Annotated[str | None, tyro.conf.arg(metavar="npz,glb,…")] = None,
        overlay: bool = True,
        latents: tyro.conf.FlagCreatePairsOff[bool] = False,
        plot: tyro.conf.FlagCreatePairsOff[bool] = False,
        resume: tyro.conf.FlagCreatePairsOff[bool] = False,
        json: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """Keypoints that another program found → bodies: SMPLify-X on any CPU, every picture of a folder in one run.

        Args:
            keypoints: a file or folder: OpenPose, COCO, COCO-WholeBody, AlphaPose (Halpe), MMPose or MediaPipe JSON, a
                motion.npz, an npz of keypoints, or 3D joints or markers (npz, JSON, CSV).
            images: the pictures or the video of the keypoints: for their size, lens and the overlay.
            out: folder for the results, made if absent.
            recipe: smplifyx: body, hands and face; smplify: body only, by the older paper; video: one shape, smooth
                over time; skeleton: joint angles and place, frame after frame. auto: video for videos, else smplifyx.
            faithful: the published stages and optimiser, slow (needs monocap[torch]).
            fast: the same energy by a quicker solver; the default.
            body: "open" (shipped), a name from monocap bodies list, an official SMPL-X or SMPL-H file, or the folder of
                the official files of each gender.
            gender: which of these: neutral, female, male, or auto (what the keypoint file says, else the network).
            gender_weights: the network of --gender auto, gender.onnx of monocap train gender; it looks at --images.
            focal: focal length in pixels of the full picture; auto: EXIF, else 0.9 × the longer side.
            fov: instead of focal: field of view in degrees across the longer side.
            camera: instead of both: a calibrated camera, as JSON (fx, fy, cx, cy, width, height) or from OpenCV.
            size: of the pictures, where there are none and the file does not tell.
            height: the person's height, if known: fixes size and distance.
            people: whom to fit: all, the largest, or the N most prominent.
            smooth: smoothing of videos: auto (= 1), off, or a factor.
            fps: the pictures are one video of so many frames per second, not separate ones.
            interpenetration: keep the mesh out of itself.
            scan: points on the skin, in the camera's frame: PLY, OBJ or npz, called as the pictures.
            masks: where the person is: pictures, called as those of the keypoints.
            depths: depth maps in metres: npz with depth, called as the pictures.
            skeleton: the order of the points where the file does not tell it, such as coco17 or openpose25b.
            unit: of joints in space and scans, where the file does not tell: m.
            axes: of joints in space: z-up, y-up or camera.
            formats: files to write, by default npz,glb,bvh for videos and npz,glb,obj for pictures; also vrma, amass,
                json, pkl and meshes (as the published program writes them).
            overlay: also draw the bodies over the pictures, where --images names them.
            latents: also write what the solver had as unknowns, and every energy, as NAME.latents.npz.
            plot: also draw the convergence as convergence.png (needs monocap[evaluate]).
            resume: go on where the same fit was stopped; what is complete is left.
            json: print a machine-readable summary on standard output.
        """
        if fast and faithful:
            raise InputError("both --fast and --faithful are given; expected one of them")
        from monocap.cli.fit import plotter, run
        from monocap.pipeline.keypoint_fit.evidence import Evidence
        from monocap.pipeline.keypoint_fit.run import FitRequest
        from monocap.pipeline.keypoint_fit.settings import FitSettings

        common, notes = capture_settings(body, focal, fov, camera, height, smooth, people)
        settings = FitSettings(
            common=common,
            recipe=recipe,
            faithful=faithful,
            gender=gender,
            gender_weights=gender_weights,
            interpenetration=interpenetration,
            fps=fps,
            skeleton=skeleton,
            size=parse_size(size),
            unit=unit,
            axes=axes,
            evidence=Evidence(scan, masks, depths, unit or "m"),
        )
        chosen = None if formats is None else [name for name in formats.split(",") if name]
        draw = plotter() if plot else None
        return run(
            keypoints,
            images,
            out,
            FitRequest(settings, chosen, overlay and images is not None, latents, resume, draw, notes),
            json,
        )

    @app.command
    def export(
        motion: tyro.conf.Positional[Path],
        /,
        *,
        to: Annotated[str, tyro.conf.arg(metavar="glb|bvh|vrma|amass|obj|json|npz")],
        out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")],
        person: Annotated[int | None, tyro.conf.arg(metavar="ID")] = None,
        fps: Annotated[float | None, tyro.conf.arg(metavar="N")] = None,
        every: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
        body: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        skin: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        vposer: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    ) -> int:
        """A captured motion as a file that other programs open.

        Args:
            motion: a motion.npz that capture or fit wrote, or a result pickle of SMPLify-X.
            to: glb: bodies with skin, animated; bvh: bones; vrma: animation for VRM avatars; amass: npz with SMPL-X
                poses, z up; obj: meshes, a folder of them for a video; json: lines of text, a frame each; npz: of a
                pickle, the motion.
            out: the file; with several people, bvh, vrma and amass write one each, FILE_NN.
            person: only the person of this number (as in FILE_NN).
            fps: frames per second, resampled; for glb, bvh, vrma and amass.
            every: of obj: one frame in so many; by default as many as fit in 2 GB.
            body: where the motion's own body is not known by its name.
            skin: of glb, and of a photo's obj: a name from monocap bodies info, or a JPEG or PNG for the body's uv.
            vposer: of a pickle: the weights that its pose was fitted with (.safetensors of monocap weights convert).
        """
        from monocap.cli.export import run

        return run(motion, to, out, person, fps, every, body, skin, vposer)

    @app.command
    def view(
        motion: tyro.conf.Positional[Path],
        /,
        *,
        video: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE.html")] = None,
        open: tyro.conf.FlagCreatePairsOff[bool] = False,
        body: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
        skin: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None,
    ) -> int:
        """A captured motion as one HTML page: video, overlay and 3D view in step; it needs no network.

        Args:
            motion: a motion.npz that capture wrote.
            video: what it was captured from, video or photo; without it there is only the 3D view.
            out: the page, by default beside the motion.
            open: also open it in the browser.
            body: where the motion's own body is not known by its name.
            skin: a name from monocap bodies info, or a JPEG or PNG for the body's uv.
        """
        from monocap.cli.view import run

        return run(motion, video, out, open, body, skin)
