"""Named shapes in the space of the shipped body: ``python -m tools.open_body.presets --sources FOLDER``.

Writes src/monocap/bodies/data/shapes.toml: betas of the mean woman, the mean man and children, and how far the shipped
space is from each of the sources' own bodies. Also prints what the components explain of adults that they were not made
from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monocap.bodies import load_body
from monocap.bodies.measurements import measure
from monocap.files import replacing

from . import components, proportions, tpose
from .build import DATA, PARTS, PELVIS, WHEEL, correct_mouths
from .population import Targets, draw_adults, draw_children, read_targets
from .sources import Wheel, read_mesh, read_mirror, read_rig

Array = NDArray[np.float64]

PEOPLE, SEED = 600, 20240607  # as `build` draws them
SCALE = 0.9962  # as `build` prints it
EACH = 60
CHILD_AGE = 10.0  # as the sources count; they are as tall as real ones of about 9


class Studio:
    """Turns people of the sources into the rest pose and vertex order of the shipped body."""

    def __init__(self, folder: Path) -> None:
        self.body = load_body("open")
        self.wheel = Wheel(folder / WHEEL)
        self.mesh = read_mesh(self.wheel)
        self.mirror = read_mirror(self.wheel)
        self.rig = read_rig(self.wheel, len(self.mesh.vertices))
        self.keep, quads = np.unique(self.mesh.quads[np.isin(self.mesh.group, PARTS)], return_inverse=True)
        self.quads = quads.reshape(-1, 4)
        # Both triangles of a quad begin and end at known corners, whichever diagonal cut it: that gives the order.
        first, second = self.body.faces[0::2], self.body.faces[1::2]
        self.new = np.empty(len(self.keep), np.int64)
        for corner, numbers in enumerate((first[:, 0], first[:, 1], second[:, 1], second[:, 2])):
            self.new[self.quads[:, corner]] = numbers
        targets = self.targets()
        self.adults = draw_adults(self.mesh, targets, PEOPLE, np.random.default_rng(SEED))
        mean = components.symmetric(self.adults.mean(0), self.mirror)
        self.arms = proportions.arm_correction(targets, self.rig, mean)

    def targets(self, *ages: str) -> Targets:
        return read_targets(self.wheel, len(self.mesh.vertices), ages or ("young", "old"))

    def rest(self, people: Array) -> Array:
        """(n,V,3) metres, the shipped order, of people (n,N,3) in the A-pose."""
        people = components.symmetric(people, self.mirror) + self.arms
        correct_mouths(people, self.wheel, self.mesh, self.mirror)
        pivots, joint_map = proportions.joint_matrices(self.rig)
        posed, heads = tpose.bake(self.rig, people, self.keep, self.quads, pivots, self.rig.weights[self.keep])
        pelvis = np.einsum("b,nbc->nc", joint_map[0], heads)[:, None]
        out = np.empty_like(posed)
        out[:, self.new] = (posed - pelvis) * SCALE + PELVIS
        return out


def project(body_basis: Array, mean: Array, vertices: Array) -> tuple[Array, Array]:
    """Betas (n,B) of vertices (n,V,3) by least squares, and what is left of each vertex (n,V) in metres."""
    flat = (vertices - mean).reshape(len(vertices), -1)
    basis = body_basis.reshape(-1, body_basis.shape[-1])
    betas = np.linalg.lstsq(basis, flat.T, rcond=None)[0].T.astype(np.float64)
    left = (flat - betas @ basis.T).reshape(vertices.shape)
    return betas, np.linalg.norm(left, axis=-1)


def _millimetres(left: Array) -> float:
    return 1e3 * float(np.sqrt((left**2).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help=f"folder with {WHEEL}")
    parser.add_argument("--out", type=Path, default=DATA / "shapes.toml")
    options = parser.parse_args()
    studio = Studio(options.sources)
    mean, basis = studio.body.v_template.astype(float), studio.body.shapedirs.astype(float)

    fresh = studio.rest(draw_adults(studio.mesh, studio.targets(), EACH, np.random.default_rng(SEED + 1)))
    variance = ((fresh - mean) ** 2).sum()
    for count in (1, 2, 4, 8, 10, 16):
        _, left = project(basis[..., :count], mean, fresh)
        print(f"{count:2} components: {1 - (left**2).sum() / variance:.3f} of the variance of {EACH} new adults, "
              f"{_millimetres(left):.1f} mm left")  # fmt: skip

    rows: dict[str, tuple[Array, Array, str]] = {"neutral": (np.zeros(16), np.zeros(1), "the mean of women and men")}
    sexes = {"female": studio.adults[1 : 2 * EACH : 2], "male": studio.adults[0 : 2 * EACH : 2]}
    for name, people in sexes.items():
        betas, left = project(basis, mean, studio.rest(people).mean(0, keepdims=True))
        rows[name] = betas[0], left, f"the mean of {EACH} adults"
    girls_and_boys = draw_children(
        studio.mesh, studio.targets("young", "child"), CHILD_AGE, EACH, np.random.default_rng(SEED + 2)
    )
    child = studio.rest(girls_and_boys).mean(0, keepdims=True)
    betas, left = project(basis, mean, child)
    head = studio.body.lbs_weights[:, studio.body.joint_names.index("head")] > 0.5
    print(f"child: {np.ptp(child[0, :, 1]):.3f} m tall in the sources; head {_millimetres(left[:, head]):.1f} mm left")
    rows["child"] = betas[0], left, f"the mean of {EACH} girls and boys, about 9 years old by their stature"

    lines = [
        "# Named shapes of the open body: betas, and how far its space is from the sources' own mean body of that kind",
        "# (distance of vertices: root mean square, largest). Made by tools/open_body/presets.py.",
    ]
    for name, (betas, left, told) in rows.items():
        rounded = ", ".join(f"{b:.3f}" for b in betas)
        lines += ["", f"[{name}]", f'of = "{told}"', f"betas = [{rounded}]"]
        lines += [f"residual_mm = {_millimetres(left):.1f}", f"largest_residual_mm = {1e3 * left.max():.1f}"]
        found = measure(studio.body, betas).as_dict()
        print(f"{name}: {_millimetres(left):.1f} mm left;", ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    with replacing(options.out) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
