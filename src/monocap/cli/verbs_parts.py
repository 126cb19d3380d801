"""Verbs about what ships or was added, their flags and help; `weights.py`, `bodies.py` do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.extras import SubcommandApp


def add(app: SubcommandApp) -> None:
    """Give ``app`` these verbs. Nothing here imports numpy or anything that is slow to import."""

    @app.command
    def weights(
        action: tyro.conf.Positional[Literal["list", "info", "verify", "convert"]],
        name: tyro.conf.Positional[str | None] = None,
        /,
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None,
        half: tyro.conf.FlagCreatePairsOff[bool] = False,
    ) -> int:
        """What networks ship with the package, their licence and origin; verify reads and compares every file.

        Args:
            action: list, info NAME, verify [NAME], or convert FILE -o OUT: official weights (SPIN, VIBE, CLIFF, SMPLer,
                HMR 2.0, CameraHMR, TokenHMR, VPoser, tokenizer) into ours (.safetensors; needs monocap[torch]), or ours
                into ONNX (.onnx; needs monocap[train]).
            name: a name from the list, or the file to convert.
            out: of convert: the file to write.
            half: of convert to ONNX: store a network's weights in 16 bits, as those that ship.
        """
        from monocap.cli.weights import convert, run

        return convert(name, out, half) if action == "convert" else run(action, name)

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
