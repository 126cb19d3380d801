"""``monocap evaluate`` from end to end: data set and estimates in; JSON, Markdown, plots and a gallery out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monocap.bodies import BodyModel
from monocap.data import Dataset, open_dataset
from monocap.errors import InputError, MissingDependencyError
from monocap.evaluate import protocols
from monocap.evaluate.capture_run import CameraChoice, Captured, run_capture
from monocap.evaluate.gallery import write_gallery
from monocap.evaluate.markdown import write_markdown
from monocap.evaluate.plausibility import check_predictions
from monocap.evaluate.plots import write_plots
from monocap.evaluate.predictions import Estimate, read_predictions
from monocap.evaluate.regressors import read_regressor
from monocap.evaluate.report import Report, build_report, write_json
from monocap.evaluate.truth import TrueBodies, gather
from monocap.pipeline.settings import CaptureSettings, Engine, Preset

CAPTURE, REGRESS = "capture", "regress"
DEVELOPMENT = "reference/real3d_dev"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvaluateOptions:
    """What to compare and how.

    ``what``: "capture", "regress" (what capture's network says, nothing fitted) or a predictions file; ``data`` folder
    (None: the development pictures of MONOCAP_SHARED);
    ``bodies`` folder and ``regressor`` file where the protocol's truth is a mesh; at most ``limit`` samples;
    ``gallery``: how many worst cases are drawn; ``strict`` stops at the first bad sample; ``preset``, ``body`` and
    ``camera`` of capture, ``engine`` and ``weights`` of its regression network.
    """

    what: str
    protocol: str
    data: Path | None = None
    out: Path = Path("out/evaluate")
    bodies: Path | None = None
    regressor: Path | None = None
    limit: int | None = None
    gallery: int = 8
    strict: bool = False
    preset: Preset = "accurate"
    body: str = "open"
    camera: CameraChoice = "given"
    engine: Engine = "fit"
    weights: str | None = None

    @property
    def captures(self) -> bool:
        """Whether pictures are captured, instead of predictions read."""
        return self.what in (CAPTURE, REGRESS)

    @property
    def settings(self) -> CaptureSettings:
        """Of capture. Raises InputError for those that do not go together."""
        engine, refine = self.engine, self.what == CAPTURE
        if not refine and engine == "fit":
            engine = "hmr"
        return CaptureSettings(self.preset, self.body, engine=engine, weights=self.weights, refine=refine)

    @property
    def command(self) -> str:
        """The command that repeats this evaluation, with file names instead of whole paths."""
        words = ["monocap", "evaluate", Path(self.what).name, "--protocol", self.protocol]
        if self.data is not None:
            words += ["--data", self.data.name]
        if self.captures:
            words += ["--preset", self.preset]
            words += [] if self.camera == "given" else ["--camera", self.camera]
            words += [] if self.body == "open" else ["--body", Path(self.body).name]
            words += [] if self.engine == "fit" else ["--engine", self.engine]
            words += [] if self.weights is None else ["--weights", Path(self.weights).name]
        for flag, value in (("--bodies", self.bodies), ("--regressor", self.regressor)):
            words += [] if value is None else [flag, value.name]
        words += [] if self.limit is None else ["--limit", str(self.limit)]
        return shlex.join([*words, "--strict"] if self.strict else words)


@dataclass(frozen=True)
class Evaluated:
    """The ``report``, the files ``written``, and ``warnings`` (a plot library that is missing, checks not made)."""

    report: Report
    written: list[Path]
    warnings: list[str]


def evaluate(options: EvaluateOptions, progress: Progress | None = None) -> Evaluated:
    """Compare estimates with a data set under a protocol and write the report into ``options.out``.

    Raises InputError for unknown protocols, unusable data or predictions, and, if ``strict``, at the first bad sample.
    """
    protocol = protocols.get(options.protocol)
    if not options.captures and not Path(options.what).is_file():
        raise InputError(f"{options.what}: no such file; expected capture, regress or an .npz file of predictions")
    settings = options.settings if options.captures else None
    dataset = open_data(options.data)
    bodies = TrueBodies(options.bodies)
    regressor = None if options.regressor is None else read_regressor(options.regressor)
    truth = gather(
        protocol,
        dataset,
        pictures=options.captures,
        strict=options.strict,
        bodies=bodies,
        regressor=regressor,
        limit=options.limit,
    )
    warnings: list[str] = []
    captured: list[Captured] | None = None
    body: BodyModel | None = None
    estimates: list[Estimate]
    if settings is not None:
        rows, captured, body = run_capture(protocol, truth.samples, settings, progress, options.camera)
        estimates = rows[1:] if protocol.points == "vertices" else rows
    else:
        estimate = read_predictions(options.what, protocol, truth, bodies, regressor)
        found = estimate.found
        warnings += check_predictions(protocol, estimate.poses.take(found), truth.poses.take(found))
        estimates = [estimate]
    report = build_report(protocol, truth, estimates, options.command)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    try:
        pictures += write_plots(options.out, report)
    except MissingDependencyError as error:
        warnings.append(f"no plots: {error}")
    if options.gallery:
        path = options.out / "worst.jpg"
        drawn = write_gallery(path, protocol, truth, estimates[-1], report, options.gallery, captured, body)
        pictures += [] if drawn is None else [drawn]
    json_path, page = options.out / "report.json", options.out / "report.md"
    report["warnings"] = warnings
    write_json(json_path, report)
    write_markdown(page, report, pictures)
    return Evaluated(report, [json_path, page, *pictures], warnings)


def open_data(path: Path | None) -> Dataset:
    """The data set in a folder, or the development pictures that MONOCAP_SHARED points to. Raises InputError."""
    if path is None:
        shared = os.environ.get("MONOCAP_SHARED")
        path = None if not shared else Path(shared) / DEVELOPMENT
        if path is None or not path.is_dir():
            raise InputError("no data; pass --data FOLDER (or set MONOCAP_SHARED to the development data)")
    return open_dataset(path)
