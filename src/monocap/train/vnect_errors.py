"""How far VNect's read-out is from the truth, measured as it is read at run time."""

from __future__ import annotations

import numpy as np

from monocap.metrics import auc, mpjpe, pck
from monocap.nets.vnect_maps import Maps
from monocap.perception.location_maps import JointMaps
from monocap.skeletons import get, vnect
from monocap.train.vnect_losses import Targets
from monocap.types import Array

_ROOT = get(vnect.NAME).index("pelvis")


def vnect_errors(maps: Maps, targets: Targets) -> dict[str, Array]:
    """Per crop (N,), over joints within it whose place is known, about the pelvis, of the person of normalised height:
    mean error; share missed by more than 150 mm; area under that curve; mean error were the joints' places in the crop
    known; median error in the crop, per cent of its side. Not a number where no joint is in view."""
    heat, *located = (one.detach().float().cpu().numpy() for one in maps)
    size = np.array(heat.shape[:1:-1], float)
    read = [JointMaps(heat[n], np.stack([one[n] for one in located])) for n in range(len(heat))]
    truth, wanted, inside, judged, known = (
        getattr(targets, name).cpu().numpy() for name in ("places", "points", "inside", "judged", "known")
    )
    cells, right = np.stack([one.peaks()[0] for one in read]), (wanted + 1) * (size / 2) - 0.5
    places, told = (np.stack([one.at(c) for one, c in zip(read, at, strict=True)]) for at in (cells, right))
    apart = 100 * np.linalg.norm((cells - right) / size, axis=-1)
    counted = inside * known
    return {
        "mpjpe_mm": 1e3 * np.asarray(mpjpe(places, truth, _ROOT, counted)),
        "missed_150": 1 - np.asarray(pck(places, truth, root=_ROOT, visible=counted)),
        "auc": np.asarray(auc(places, truth, root=_ROOT, visible=counted)),
        "at_truth_mm": 1e3 * np.asarray(mpjpe(told, truth, _ROOT, counted)),
        "crop_percent": _median(np.where(inside * judged > 0, apart, np.nan)),
    }


def mean_errors(parts: list[dict[str, Array]]) -> dict[str, float]:
    """Means over the crops of several batches, crops without a joint in view left out; the first chooses weights."""
    return {name: float(np.nanmean(np.concatenate([part[name] for part in parts]))) for name in parts[0]}


def _median(values: Array) -> Array:
    found = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    found[some] = np.nanmedian(values[some], axis=1)
    return found
