"""``monocap train TASK``: the tasks, their flags and help; `train.py` works. Needs ``monocap[train]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.extras import SubcommandApp

Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]
MaybeFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
Out = Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Number = Annotated[int | None, tyro.conf.arg(metavar="N")]
Rate = Annotated[float | None, tyro.conf.arg(metavar="RATE")]
Flag = tyro.conf.FlagCreatePairsOff[bool]
OUT = Path("out/train")


@dataclass(frozen=True)
class Run:
    """What any training can be told.

    Args:
        steps: length of the run; by default that of the shipped weights, as are batch and learning rate.
        batch: samples per step, in all processes together.
        seed: of weights, batches and noise.
        accelerator: auto takes a GPU where there is one.
        threads: of the processor.
        resume: go on from the checkpoint in the folder.
    """

    steps: Number = None
    batch: Number = None
    seed: int = 1
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Number = None
    resume: Flag = False


@dataclass(frozen=True)
class Machines:
    """Size of the machine, and how the result is written.

    Args:
        devices: GPUs (or processes on a CPU) of this machine, or auto.
        nodes: machines.
        strategy: as Lightning Fabric names it.
        precision: bf16-mixed or 16-mixed halve the memory on a GPU.
        accumulate: pieces in which a step's batch is drawn; the more, the less memory.
        checkpointing: compute activations again on the way back instead of keeping them.
        overfit: instead of training, learn one batch by heart in so many steps; its loss must fall.
        pieces: write the weights in files of at most 15 MB.
    """

    devices: Annotated[int | Literal["auto"] | None, tyro.conf.arg(metavar="N|auto")] = None
    nodes: Number = None
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] | None = None
    accumulate: Number = None
    checkpointing: Flag = False
    overfit: Annotated[int | None, tyro.conf.arg(metavar="STEPS")] = None
    pieces: Flag = False


Running = Annotated[Run, tyro.conf.arg(name="")]
OnMachines = Annotated[Machines, tyro.conf.arg(name="")]
Json = Annotated[Flag, tyro.conf.arg(help="print a machine-readable summary on standard output.")]


def _run(run: Run, machines: Machines) -> dict[str, Any]:
    """Fields of a task's options that all tasks have."""
    from monocap.train.settings import RunOptions

    said = asdict(machines)
    said["checkpointing"] = machines.checkpointing or None
    return {**asdict(run), "run": RunOptions(**said)}


def add(app: SubcommandApp) -> None:
    """Put ``train`` and its tasks on the program."""
    tasks = SubcommandApp()
    app.command(tasks, name="train", help="Train a network on your own data; needs monocap[train].")

    @tasks.command
    def prior(
        kind: tyro.conf.Positional[Literal["vposer", "tokenizer", "statistics"]],
        /,
        *,
        data: Folder,
        out: Out = OUT,
        learning_rate: Rate = None,
        arch: Literal["vposer-v2", "vposer-v1"] = "vposer-v2",
        loss: Literal["shipped", "v1", "v2", "paper"] = "shipped",
        official_size: Flag = False,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """What body poses are human.

        Args:
            kind: vposer (a variational autoencoder), tokenizer (poses as tokens), or statistics (limits, a Gaussian and
                a mixture; needs no torch).
            data: folder of pose shards that monocap data corpus wrote.
            out: folder for checkpoint, log and weights, made if absent.
            learning_rate: at its highest.
            arch: of VPoser.
            loss: of VPoser: that of the shipped weights, or as published.
            official_size: the tokenizer at TokenHMR's size (13 million weights; for a GPU).
        """
        if kind == "statistics":
            from monocap.cli.statistics import run as statistics

            return statistics(data, out, run.seed, json)
        from monocap.cli.train import run_prior
        from monocap.train.tasks.prior import PriorOptions

        options = PriorOptions(
            kind=kind, data=data, out=out, learning_rate=learning_rate, arch=arch, loss=loss,
            official_size=official_size, **_run(run, machines),
        )  # fmt: skip
        return run_prior(options, json)

    @tasks.command
    def lifter(
        *,
        data: Folder,
        out: Out = OUT,
        seen: MaybeFolder = None,
        start: File = None,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """Where a body is in space, from its landmarks in a picture.

        Args:
            data: a folder of motion capture files.
            out: folder for checkpoint, log and weights, made if absent.
            seen: folder of what the keypoint network said of renderings (tools/render_keypoints.py).
            start: weights to go on from.
        """
        from monocap.cli.train import run_lifter
        from monocap.train.tasks.lifter import LifterOptions

        return run_lifter(LifterOptions(data, out, seen=seen, start=start, **_run(run, machines)), json)

    @tasks.command
    def features(
        *,
        out: Out,
        count: Annotated[int, tyro.conf.arg(metavar="N")] = 30_000,
        split: Literal["train", "test"] = "train",
        corpus: MaybeFolder = None,
        size: Annotated[int, tyro.conf.arg(metavar="PX")] = 288,
        people: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        views: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        augmentation: str = "aligned",
        seed: int = 1,
        workers: Number = None,
    ) -> int:
        """Render people and keep what the light encoder sees of them: what train head learns from.

        Args:
            out: folder for the features, made if absent; what is there is kept.
            count: pictures, of one or more people each.
            split: train, or test: other performers, skins, fabrics and rooms (with --views 1 --augmentation none).
            corpus: poses of a folder that monocap data corpus wrote; else of the shipped priors.
            size: of the pictures' sides.
            people: most in a picture.
            views: crops of each person.
            augmentation: none, aligned, synthetic, or a family's published strengths.
            seed: of everything.
            workers: processes; 0: none beside this one.
        """
        from monocap.cli.train import run_features
        from monocap.synth.sampler import SynthSettings
        from monocap.train.feature_cache import CachePlan

        settings = SynthSettings(seed, (size, size), people=(1, people), split=split, quality="fast", corpus=corpus)
        return run_features(CachePlan(settings, count, views, augmentation), out, workers)

    @tasks.command
    def head(
        kind: tyro.conf.Positional[Literal["hmr-light", "smpler-light"]],
        /,
        *,
        features: Folder,
        held: Folder,
        out: Out = OUT,
        start: File = None,
        upper_rate: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.0,
        learning_rate: Rate = None,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """A network that says the body in a picture, on the light encoder; made to be trained on a laptop.

        Args:
            kind: HMR's iterative regressor, or SMPLer's transformer.
            features: folder that train features wrote.
            held: another, of the test split, to validate on.
            out: folder for checkpoint, log and weights, made if absent.
            start: weights to go on from; those of the other kind give the encoder's upper half and the first estimate.
            upper_rate: learning rate of the encoder's upper half, as a share of the head's; 0 leaves it as published,
                and is many times as fast.
            learning_rate: at its highest.
        """
        from monocap.cli.train import run_head
        from monocap.train.tasks.heads import HeadOptions

        options = HeadOptions(
            kind, features, held, out, start, upper_rate, learning_rate=learning_rate, **_run(run, machines)
        )
        return run_head(options, json)

    @tasks.command
    def regressor(
        model: tyro.conf.Positional[str],
        /,
        *,
        data: Annotated[str, tyro.conf.arg(metavar="KIND:PATH[*SHARE],…")] = "",
        stream: Flag = False,
        stream_share: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None,
        corpus: MaybeFolder = None,
        size: Annotated[int, tyro.conf.arg(metavar="PX")] = 288,
        people: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        quality: Literal["full", "fast"] = "fast",
        mix: Literal["spin", "hmr2a"] | None = None,
        held: MaybeFolder = None,
        out: Out = OUT,
        init: File = None,
        freeze_encoder: Flag = False,
        encoder_rate: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0,
        augmentation: str = "synthetic",
        losses: Literal["hmr", "spin", "vibe", "smpler", "cliff", "hmr2"] | None = None,
        adversary: Annotated[str | None, tyro.conf.arg(metavar="DIR|priors")] = None,
        views: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        shrink: Annotated[int, tyro.conf.arg(metavar="N")] = 1,
        workers: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        learning_rate: Rate = None,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """A network that says the body in a picture, end to end on pictures: of data sets, or rendered on the way.

        Args:
            model: hmr-resnet50, cliff-resnet50, cliff-hrnet48, smpler-w32, hmr-light …: a name of monocap.nets.
            data: data sets, e.g. synth:DIR,coco:FILE*0.3; those with 2D keypoints alone teach beside those with bodies.
            stream: render people while training.
            stream_share: of the batch, beside data sets.
            corpus: stream: poses of a folder that monocap data corpus wrote; else of the shipped priors.
            size: stream: of the pictures' sides.
            people: stream: most in a picture.
            quality: stream: fast: one ray per pixel and no shadows.
            mix: shares as published, instead of your own.
            held: folder of rendered people to validate on; by default the last of data's, or rendered.
            out: folder for checkpoint, log and weights, made if absent.
            init: weights to begin with, of this network, or of one with the same encoder.
            freeze_encoder: the encoder does not learn.
            encoder_rate: learning rate of the encoder, as a share.
            augmentation: none, synthetic, or a family's published strengths.
            losses: of which family; by default the model's.
            adversary: also learn from a discriminator of poses; real ones of a pose corpus, or of the shipped priors.
            views: stream: crops of each person.
            shrink: the network sees crops that much smaller, for trials on small machines.
            workers: processes that prepare batches; 0: none beside this one.
            learning_rate: at its highest.
        """
        from monocap.cli.train import run_pictures
        from monocap.synth.sampler import SynthSettings
        from monocap.train.tasks.pictures import PicturesOptions

        rendered = SynthSettings(run.seed, (size, size), people=(1, people), quality=quality, corpus=corpus)
        options = PicturesOptions(
            model, out, data, rendered if stream else None, stream_share, mix, held, init, freeze_encoder,
            encoder_rate, augmentation, losses, adversary, workers=workers, views=views, shrink=shrink,
            learning_rate=learning_rate, **_run(run, machines),
        )  # fmt: skip
        return run_pictures(options, json)

    @tasks.command
    def vnect(
        *,
        light: Flag = False,
        features: MaybeFolder = None,
        data: Annotated[str, tyro.conf.arg(metavar="KIND:PATH[*SHARE],…")] = "",
        stream: Flag = False,
        stream_share: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None,
        corpus: MaybeFolder = None,
        size: Annotated[int, tyro.conf.arg(metavar="PX")] = 368,
        people: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        quality: Literal["full", "fast"] = "fast",
        stage: Literal["2d", "3d"] = "3d",
        held: MaybeFolder = None,
        out: Out = OUT,
        start: File = None,
        upper_rate: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.1,
        augmentation: str = "synthetic",
        views: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        shrink: Annotated[int, tyro.conf.arg(metavar="N")] = 1,
        workers: Annotated[int, tyro.conf.arg(metavar="N")] = 2,
        learning_rate: Rate = None,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """VNect: heatmaps and location maps of 21 joints, for motion in real time.

        The published network learns from pictures (data, stream), best in two stages; the light one (--light) from
        what train features wrote (features, held).

        Args:
            light: the network for processors, on the light encoder's cached features.
            features: light: folder that train features wrote.
            data: data sets, e.g. synth:DIR,mpii:FILE*0.3; those with 2D keypoints alone teach heatmaps.
            stream: render people while training.
            stream_share: of the batch, beside data sets.
            corpus: stream: poses of a folder that monocap data corpus wrote; else of the shipped priors.
            size: stream: of the pictures' sides.
            people: stream: most in a picture.
            quality: stream: fast: one ray per pixel and no shadows.
            stage: 2d learns heatmaps alone; then 3d, with --start OUT/vnect-training.safetensors of the first.
            held: folder of rendered people to validate on (light: of their features, of the test split).
            out: folder for checkpoint, log and weights, made if absent.
            start: weights to go on from; light: or those of train head, which give the encoder's upper half.
            upper_rate: light: learning rate of the encoder's upper half, as a share; 0: it does not learn.
            augmentation: none, synthetic, or a family's published strengths.
            views: stream: crops of each person.
            shrink: the network sees crops that much smaller, for trials on small machines.
            workers: processes that prepare batches; 0: none beside this one.
            learning_rate: at its highest.
        """
        if light:
            from monocap.cli.train import run_light_vnect
            from monocap.errors import InputError
            from monocap.train.tasks.vnect_light import LightVnectOptions

            if features is None or held is None:
                raise InputError("--light learns from --features DIR and --held DIR, of monocap train features")
            options = LightVnectOptions(
                features, held, out, start, upper_rate, learning_rate=learning_rate, **_run(run, machines)
            )
            return run_light_vnect(options, json)
        from monocap.cli.train import run_vnect
        from monocap.synth.sampler import SynthSettings
        from monocap.train.tasks.vnect import VnectOptions

        rendered = SynthSettings(run.seed, (size, size), people=(1, people), quality=quality, corpus=corpus)
        wanted = VnectOptions(
            out, data, rendered if stream else None, stream_share, held, start, stage, augmentation, workers=workers,
            views=views, shrink=shrink, learning_rate=learning_rate, **_run(run, machines),
        )  # fmt: skip
        return run_vnect(wanted, json)

    @tasks.command
    def gender(
        *,
        out: Out = OUT,
        pictures: Annotated[int, tyro.conf.arg(metavar="N")] = 4000,
        held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 600,
        corpus: MaybeFolder = None,
        run: Running = Run(),
        machines: OnMachines = Machines(),
        json: Json = False,
    ) -> int:
        """Whether somebody looks like a woman or a man: a small ResNet-18 on rendered people and their keypoints.

        Args:
            out: folder for crops, checkpoint, log and weights, made if absent.
            pictures: rendered to learn from, where they are not in the folder yet.
            held_out: rendered to calibrate and measure.
            corpus: poses of a folder that monocap data corpus wrote; else of the shipped priors.
        """
        from monocap.cli.train import run_gender
        from monocap.train.tasks.gender import GenderOptions

        return run_gender(GenderOptions(out, pictures, held_out, corpus, **_run(run, machines)), json)
