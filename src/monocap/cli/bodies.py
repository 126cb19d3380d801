"""``monocap bodies``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import BodyModel, load_body, store
from monocap.errors import InputError


def list_all(as_json: bool) -> int:
    """The bodies that can be named, with kind and licence; returns the exit status."""
    bodies, damaged = [load_body("open")], []
    for name in store.names():
        try:
            bodies.append(load_body(name))
        except InputError as error:
            damaged.append(str(error))
    if as_json:
        print(json.dumps({body.name: _facts(body) for body in bodies}))
        return 0
    for body in bodies:
        size = f"{len(body.v_template)} vertices, {len(body.parents)} joints, {body.num_betas} betas"
        print(f"{body.name:20} {_title(body):8} {size:45} {body.licence}")
    for line in damaged:
        print(line)
    print(f"added bodies: {store.folder()}; add one with: monocap bodies add FILE")
    return 0


def info(name: str, as_json: bool) -> int:
    """What is in a body, by name or file; returns the exit status."""
    body = load_body(name)
    _print(_facts(body), as_json)
    return 0


def measure(name: str, betas: str | None, wanted: str | None, as_json: bool) -> int:
    """The measurements of a shape, or the betas that have the wanted ones; returns the exit status."""
    from monocap.bodies import measurements
    from monocap.bodies.shapes import named_shape, shape_names

    if betas is not None and wanted is not None:
        raise InputError("bodies measure takes --betas or --set, not both")
    body = load_body(name)
    shape = None
    if betas in shape_names():
        shape = named_shape(body, str(betas))
    elif betas is not None:
        shape = np.array([_number(text, "--betas") for text in betas.split(",")])
    if wanted is not None:
        pairs = [pair.partition("=") for pair in wanted.split(",")]
        given = {key.strip().replace("-", "_"): _number(value, "--set") for key, _, value in pairs}
        shape = measurements.betas_from(body, **given)
    facts: dict[str, Any] = {} if shape is None else {"betas": [round(float(b), 4) for b in shape]}
    facts |= {key: round(value, 4) for key, value in measurements.measure(body, shape).as_dict().items()}
    if not as_json and shape is not None:
        facts["betas"] = ",".join(f"{b:g}" for b in facts["betas"])
    _print(facts, as_json)
    return 0


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        what = "NAME=METRES,…, such as stature=1.8,waist=0.85"
        if flag == "--betas":
            what = "numbers with commas between, or female, male, neutral, child"
        raise InputError(f"{flag} has {text!r}; expected {what}") from error


def add(
    file: str | None,
    name: str | None,
    hands: tuple[Path, Path] | None,
    kid_template: Path | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Convert an official file into the user's data folder, and say what it is; returns the exit status."""
    if file is None:
        raise InputError("bodies add needs a file: the .npz or .pkl from the makers of SMPL, SMPL-X, MANO or FLAME")
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file")
    body = load_body(file, hands=hands, kid_template=kid_template)
    path = store.add(body, name, overwrite)
    added = load_body(path)
    worst = float(np.abs(np.asarray(added().vertices) - np.asarray(body().vertices)).max())
    if worst > 0:
        path.unlink()
        raise InputError(f"{file}: the converted body differs by {worst:.1g} m; nothing was added")
    facts = {"added": added.name, "file": str(path), **_facts(added)}
    _print(facts, as_json)
    return 0


def convert(file: str | None, source: str | None, to: str | None, out: Path | None, as_json: bool) -> int:
    """A motion of one body to another, with the errors that remain; returns the exit status."""
    if file is None or to is None or out is None:
        raise InputError("bodies convert needs a motion, --to BODY and -o FILE.npz")
    if out.suffix != ".npz":
        raise InputError(f"-o is {out}; expected a file that ends with .npz")
    from monocap.data.body_motion import convert_motion, read_body_motion, write_converted

    motion = read_body_motion(file)
    named = source or motion.body
    if named is None:
        raise InputError(f"{file}: an AMASS file does not hold its body; name it with --source (SMPL-H or SMPL-X)")
    try:
        body = load_body(named)
    except InputError as error:
        if source is None:
            raise InputError(f"{file}: is of body {named!r}, which is not here; name its file with --source") from error
        raise
    target = load_body(to)
    converted, results = convert_motion(motion, body, target)
    write_converted(out, converted, target)
    reports = [result.report() for result in results]
    summary: dict[str, Any] = {"file": str(out), "from": body.name, "to": target.name, "people": len(reports)}
    if as_json:
        print(json.dumps({**summary, "errors": reports}))
        return 0
    print(f"{out}: {body.name} ({_title(body)}) to {target.name} ({_title(target)})")
    for person, report in enumerate(reports):
        print(f"person {person}: " + ", ".join(f"{key} {value}" for key, value in report.items()))
    return 0


def _title(body: BodyModel) -> str:
    return body.kind.title if body.name != "open" else "open"


def _side(body: BodyModel) -> str:
    """Of a single hand: a right one reaches towards -x, as the arms of a body at rest do."""
    if body.kind.name != "mano":
        return ""
    return " left" if body.J_template[1:, 0].mean() > body.J_template[0, 0] else " right"


def _skins(body: BodyModel) -> str:
    from monocap.export.skin import skin_names

    if body.uv is None:
        return "none: no texture coordinates"
    return f"{', '.join(skin_names())}, or a file" if body.name == "open" else "a file (--skin FILE)"


def _facts(body: BodyModel) -> dict[str, Any]:
    return {
        "name": body.name,
        "kind": f"{body.kind.title}{_side(body)} ({body.kind.skeleton})",
        "licence": body.licence,
        "vertices": len(body.v_template),
        "triangles": len(body.faces),
        "joints": len(body.joint_names),
        "joint_names": ", ".join(body.joint_names),
        "parameters": ", ".join(f"{name} {3 * count}" for name, count in body.kind.parts),
        "betas": body.num_betas,
        "expression": body.num_expressions,
        "pose_correctives": body.posedirs is not None,
        "mean_hands_and_components": bool(body.hand_data),
        "points": f"{len(body.keypoint_names())} (smplx's order: {body.kind.points})",
        "skins": _skins(body),
        "height_m": round(float(np.ptp(body.v_template[:, 1])), 3),
    }


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    for key, value in facts.items():
        print(f"{key:26} {value}")
