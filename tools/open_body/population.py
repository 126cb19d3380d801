"""What do adults look like? Random adults as MakeHuman target coefficients.

Each target file is named by the factors it belongs to (``universal-female-young-maxmuscle-minweight``); its
coefficient is the product of those factors' weights. Factors are drawn as below; the height factor is solved so
that statures follow the chosen distribution.

Sources of the numbers: stature 1.765 ± 0.07 m (men) and 1.635 ± 0.065 m (women), about what NCD-RisC, "A century of
trends in adult human height", eLife 5:e13410 (2016) reports for Europe and North America; mixed, and scaled, they give
1.70 m. The remaining spreads are a choice: wide enough to cover adults, narrow enough that nobody is a caricature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sources import DATA, BaseMesh, Wheel

Array = NDArray[np.float64]

STATURE = {"male": (1.765, 0.07), "female": (1.635, 0.065)}  # metres: mean and deviation, before the common scale
LOCAL_SIGMA = 0.15
LOCAL_ROOMS = (
    "arms", "buttocks", "breast", "cheek", "chin", "ears", "eyes", "feet", "forehead", "hands", "head", "hip", "legs",
    "mouth", "neck", "nose", "stomach", "torso",
)  # fmt: skip
BELLY, BELLY_SHARE = "stomach-pregnant", 0.25  # overweight goes to the belly, in men more than in women
MACRO_ROOMS = ("macrodetails/", "breast/")
# Sideways moves of the midline break symmetry; the asymmetric and caricature targets are nobody's mean.
LEFT_OUT = ("trans-in", "trans-out", "trans-left", "trans-right", "pointed", "triangle", "square", "cleft")
OPPOSITE = {
    "decr": "incr", "down": "up", "in": "out", "backward": "forward", "concave": "convex", "compress": "uncompress",
}  # fmt: skip


@dataclass(frozen=True)
class Targets:
    """``offsets`` (K, N·3) metres; ``factors`` one tuple of factor names per macro target; ``local`` name → row."""

    offsets: NDArray[np.float32]
    factors: list[tuple[str, ...]]
    local: dict[str, int]


def read_targets(wheel: Wheel, count: int, ages: tuple[str, ...] = ("young", "old")) -> Targets:
    """Every macro target of the ages (young and old are adults) and every local target of the rooms above."""
    macro, local = [], []
    for name in wheel.names:
        if not name.startswith(DATA + "targets/") or not name.endswith(".target.gz"):
            continue
        short = name.removeprefix(DATA + "targets/").removesuffix(".target.gz")
        room, leaf = short.split("/")[0], short.split("/")[-1]
        is_macro = short.startswith(MACRO_ROOMS) and any(t in leaf.split("-") for t in ages)
        if is_macro:
            macro.append((name, tuple(t for t in leaf.split("-") if t != "universal")))
        elif room in LOCAL_ROOMS and not short.startswith("breast/female") and not any(t in leaf for t in LEFT_OUT):
            local.append((name, leaf))
    offsets = np.zeros((len(macro) + len(local), count, 3), np.float32)
    for row, name in enumerate([n for n, _ in macro] + [n for n, _ in local]):
        ids, delta = wheel.target(name)
        offsets[row, ids] = delta
    return Targets(
        offsets.reshape(len(offsets), -1),
        [factors for _, factors in macro],
        {leaf: len(macro) + k for k, (_, leaf) in enumerate(local)},
    )


def draw_factors(n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Weights (n,) of every factor for ``n`` adults of 18 to 70 years, half of them women."""
    female = rng.uniform(0.0, 0.15, n)
    female = np.where(np.arange(n) % 2 == 0, female, 1.0 - female)
    # The sources anchor "young" at 25 years and "old" at 90.
    old = np.clip((rng.uniform(18.0, 70.0, n) - 25.0) / 65.0, 0.0, 1.0)
    muscle, weight = rng.normal(0.0, 0.35, n), rng.normal(0.35, 0.7, n)
    proportions, cup, firm = rng.normal(0.1, 0.35, n), rng.normal(0.0, 0.3, n), rng.normal(-0.1, 0.3, n)
    race = rng.dirichlet([1.0, 1.0, 1.0], n)
    factors = {"male": 1.0 - female, "female": female, "young": 1.0 - old, "old": old}
    sliders = {"muscle": muscle, "weight": weight, "cup": cup, "firmness": firm, "proportions": proportions}
    for name, value in sliders.items():
        # The sources' heaviest person is hardly overweight: go on in the same direction.
        value = np.clip(value, -1.1, 2.3) if name == "weight" else np.clip(value, -1.0, 1.0)
        low, high = ("uncommon", "ideal") if name == "proportions" else ("min", "max")
        factors[low + name], factors[high + name] = np.maximum(-value, 0.0), np.maximum(value, 0.0)
        factors["average" + name] = 1.0 - np.abs(value)
    factors |= dict(zip(("african", "asian", "caucasian"), race.T, strict=True))
    return factors


def _coefficients(targets: Targets, factors: dict[str, Array]) -> Array:
    n = len(factors["male"])
    out = np.zeros((n, len(targets.offsets)))
    for row, names in enumerate(targets.factors):
        out[:, row] = np.prod([factors[name] for name in names], axis=0)
    return out


def _draw_local(targets: Targets, n: int, rng: np.random.Generator, out: Array) -> None:
    """Add local changes to ``out``; both sides of the body and both ends of a slider share one number."""
    drawn: dict[str, Array] = {}
    for leaf, row in targets.local.items():
        stem, _, end = leaf.rpartition("-")
        if stem == BELLY:
            continue
        both = stem[2:] if stem[:2] in ("l-", "r-") else stem
        pole = OPPOSITE.get(end, end)
        value = drawn.setdefault(f"{both}-{pole}", rng.normal(0.0, LOCAL_SIGMA, n))
        out[:, row] = np.maximum(-value if end in OPPOSITE else value, 0.0)


def draw_children(mesh: BaseMesh, targets: Targets, age: float, n: int, rng: np.random.Generator) -> Array:
    """(n,N,3) vertices, metres, of random children of ``age`` 10 to 25 years in the A-pose, as tall as the sources make
    them; ``targets`` with the age "child", which is 10 there."""
    factors = draw_factors(n, rng)
    young = np.full(n, (age - 10.0) / 15.0)
    factors |= {"child": 1.0 - young, "young": young, "old": 0 * young, "minheight": 0 * young, "maxheight": 0 * young}
    shapes = _coefficients(targets, factors).astype(np.float32) @ targets.offsets
    return mesh.vertices + shapes.reshape(n, -1, 3).astype(np.float64)


def draw_adults(mesh: BaseMesh, targets: Targets, n: int, rng: np.random.Generator) -> Array:
    """(n,N,3) vertices, metres, of random adults in the A-pose, each with its helper geometry."""
    factors = draw_factors(n, rng)
    zero = np.zeros(n)
    base = _coefficients(targets, factors | {"minheight": zero, "maxheight": zero})
    _draw_local(targets, n, rng, base)
    belly = BELLY_SHARE * np.maximum(factors["maxweight"] - 0.5, 0.0) * (1.0 - 0.5 * factors["female"])
    base[:, targets.local[f"{BELLY}-incr"]] = belly
    still, full = {"minheight": zero, "maxheight": zero}, zero + 1.0
    flat = _coefficients(targets, factors | still)
    tall = _coefficients(targets, factors | still | {"maxheight": full}) - flat
    short = _coefficients(targets, factors | still | {"minheight": full}) - flat
    body = np.unique(mesh.quads[mesh.group == "body"])
    people = np.empty((n, *mesh.vertices.shape), np.float32)

    def shape(c: Array) -> NDArray[np.float32]:
        return (c.astype(np.float32) @ targets.offsets).reshape(-1, 3)

    for i in range(n):
        plain = mesh.vertices + shape(base[i])
        mean, sigma = STATURE["female" if factors["female"][i] > 0.5 else "male"]
        wanted = rng.normal(mean, sigma)
        now = np.ptp(plain[body, 1])
        change = shape(tall[i] if wanted > now else short[i])
        gain = np.ptp((plain + change)[body, 1]) - now
        people[i] = plain + np.clip((wanted - now) / gain, 0.0, 1.3) * change
    return people.astype(np.float64)
