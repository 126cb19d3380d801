"""How fast self-intersections of the open body's mesh are found and priced, on one core."""

from __future__ import annotations

import numpy as np

from monocap.bodies import load_body
from monocap.evaluate.stopwatch import Figures, milliseconds, race
from monocap.fitting.collision import Collider
from monocap.fitting.collision.skin import SkinCollider
from monocap.fitting.collision.tree import BoxTree, search
from monocap.geometry import rotations
from monocap.types import Array


def bench_collision(repeats: int) -> Figures:
    """Milliseconds for the tree of boxes (built once per body), refitting it to a pose, searching it; all pairs of the
    mesh, and only those of parts that may not meet; the penalty, and its normal equations by the joints.

    The body has its forearms in its belly; the tree is built from the rest pose, as in a fit.
    """
    body = load_body("open")
    skin = SkinCollider.of(body)
    local = _forearms_in_the_belly(body.joint_names)
    rest, vertices = np.asarray(body.v_template, np.float64), skin.vertices(local)
    every, parts = Collider(body.faces), skin.collider
    for collider in (every, parts):
        collider.build(rest)
    corners = vertices[every.faces].reshape(-1, 9)
    tree = BoxTree.of(rest[every.faces].reshape(-1, 9))
    fitted, part, allowed = tree.refit(corners), tree.parts(every.segm), every.allowed
    pairs = parts.pairs(vertices)
    times = race(
        {
            "tree_build": lambda: BoxTree.of(corners),
            "tree_refit": lambda: tree.refit(corners),
            "query": lambda: search(tree, *fitted, part, allowed),
            "all_pairs": lambda: every.pairs(vertices),
            "pairs_of_parts": lambda: parts.pairs(vertices),
            "penalty_with_gradient": lambda: parts.penalty(vertices, pairs),
            "normal_equations_by_joints": lambda: skin.normal(local, pairs, sigma=0.005),
        },
        repeats,
    )
    counts: Figures = {
        "triangles": len(every.faces),
        "repeats": repeats,
        "pairs": len(every.pairs(vertices)),
        "pairs_after_parts": len(pairs),
    }
    return counts | milliseconds(times)


def _forearms_in_the_belly(names: tuple[str, ...]) -> Array:
    """(J,3,3) local rotations."""
    pose = np.zeros((len(names), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[names.index(f"{side}_shoulder")] = [1.2, -0.3 * sign, -1.2 * sign]
        pose[names.index(f"{side}_elbow")] = [0.0, -1.2 * sign, 0.0]
    return np.asarray(rotations.axis_angle_to_matrix(pose))
