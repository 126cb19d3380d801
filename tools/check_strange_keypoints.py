"""Does any set of keypoints break the fit? A thousand strange ones through the fast and the published one.

    python tools/check_strange_keypoints.py [--sets 1000] [--iterations 25] [--fast-only]

Prints, for each kind of `smplifyx_truth.STRANGE`, how many were found and how many results were not finite; exits
with 1 if any was not.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from monocap.bodies import BodyModel, load_body
from monocap.evaluate.smplifyx_truth import STRANGE, people, strange
from monocap.fitting.smplifyx.problem import Views
from monocap.fitting.smplifyx.recipe import fit
from monocap.fitting.smplifyx.result import Fitted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=25, help="of each published stage; 900 are published")
    parser.add_argument("--fast-only", action="store_true")
    options = parser.parse_args()
    body, rng = load_body("open"), np.random.default_rng(31)
    views = people(body, options.sets, rng, "openpose67").views
    views = replace(views, keypoints=strange(views.keypoints, rng))
    bad = report("fast", fit(views, body))
    if not options.fast_only:
        bad += report("published", _published(body, views, options.iterations))
    return 1 if bad else 0


def _published(body: BodyModel, views: Views, iterations: int) -> Fitted:
    from monocap.fitting.lbfgs import Limits
    from monocap.fitting.smplifyx.faithful import Faithful, fit_faithful

    return fit_faithful(body, views, Faithful(limits=Limits(iterations=iterations, evaluations=2 * iterations)))


def report(name: str, fitted: Fitted) -> int:
    """Print one line per kind; returns how many rows are not finite."""
    rows = [value.reshape(len(fitted), -1) for value in fitted.params.asdict().values()]
    rows += [fitted.energy[:, None], fitted.residual_px[:, None]]
    finite = np.isfinite(np.concatenate(rows, axis=1)).all(axis=1)
    kinds = [STRANGE[n % len(STRANGE)] for n in range(len(fitted))]
    total = Counter(kinds)
    found = Counter(kinds[n] for n in np.flatnonzero(fitted.found))
    broken = Counter(kinds[n] for n in np.flatnonzero(~finite))
    for kind in STRANGE:
        print(f"{name:10} {kind:18} {total[kind]:5} sets  {found[kind]:5} found  {broken[kind]:5} not finite")
    for warning in fitted.warnings:
        print(f"{name:10} {warning}")
    return int(np.sum(~finite))


if __name__ == "__main__":
    sys.exit(main())
