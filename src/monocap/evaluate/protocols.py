"""What is compared, and how: evaluation protocols by name and version, as data in ``protocols.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

from monocap import skeletons
from monocap.errors import InputError

Points = Literal["joints", "vertices", "keypoints"]
Regressor = Literal["", "h36m-spin", "h36m-smpler"]


@dataclass(frozen=True)
class Selection:
    """Which samples a protocol is about; empty means all. ``cameras`` are names or numbers in the data set's notes."""

    subjects: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationProtocol:
    """One protocol.

    - ``joints`` in the order of predictions, names of ``skeleton``; ``root`` joints whose middle is the origin;
    - ``points``: what is compared; ``frame`` "camera" or "world"; ``joints_note``: the truth is in the sample's note of
      that name, where there is one; ``regressor``: the family of H36M regressor that makes joints from meshes;
    - ``align_vertices``: "root" (as for joints), "pelvis" (first joint of regressor or body) or "none";
      ``neutral_truth``: annotated betas go into the neutral body whatever the gender;
    - ``fps`` of its videos, for jitter; ``metrics`` by name, the first sorts the worst cases; ``traps`` are printed.
    """

    name: str
    version: int
    title: str
    points: Points
    skeleton: str
    joints: tuple[str, ...]
    root: tuple[str, ...]
    metrics: tuple[str, ...]
    truth: str
    body: str
    traps: tuple[str, ...]
    frame: Literal["camera", "world"] = "camera"
    regressor: Regressor = ""
    align_vertices: Literal["root", "pelvis", "none"] = "root"
    neutral_truth: bool = False
    joints_note: str = ""
    fps: float = 30.0
    select: Selection = field(default_factory=Selection)

    @property
    def unit(self) -> str:
        """Unit of the points: metres or pixels."""
        return "px" if self.points == "keypoints" else "m"

    @property
    def label(self) -> str:
        """Name and version, as reports state it."""
        return f"{self.name} (version {self.version})"


@dataclass(frozen=True)
class PublishedRow:
    """What somebody else reports: ``values`` by metric in the metric's printed unit, where from, and what differs."""

    protocol: str
    method: str
    values: dict[str, float]
    source: str
    caveat: str


def names() -> tuple[str, ...]:
    """Names that `get` accepts."""
    return tuple(_table("protocols.toml"))


@cache
def get(name: str) -> EvaluationProtocol:
    """The protocol called ``name``. Raises InputError, listing what there is, for an unknown one."""
    table = _table("protocols.toml")
    if name not in table:
        raise InputError(f"no protocol {name!r}; there are {', '.join(table)}")
    entry = dict(table[name])
    skeleton, _, chosen = entry.pop("joints").partition(":")
    known = skeletons.get(skeleton)
    joints = tuple(chosen.split()) or known.joint_names
    known.indices(joints)  # an unknown name is told here
    select = Selection(**{key: tuple(value) for key, value in entry.pop("select", {}).items()})
    lists = {key: tuple(entry.pop(key)) for key in ("root", "metrics", "traps")}
    return EvaluationProtocol(name=name, skeleton=skeleton, joints=joints, select=select, **lists, **entry)


def published(protocol: str) -> tuple[PublishedRow, ...]:
    """Published numbers under (nearly) this protocol; how they differ is in each row's caveat."""
    rows = _table("published.toml")["row"]
    return tuple(PublishedRow(**row) for row in rows if row["protocol"] == protocol)


@cache
def _table(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("monocap.evaluate").joinpath(file).read_text(encoding="utf-8"))
