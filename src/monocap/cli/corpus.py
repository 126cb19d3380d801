"""``monocap data corpus``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from monocap.bodies import load_body
from monocap.cli.display import ProgressDisplay
from monocap.data.mocap import find_takes, read_take, retarget
from monocap.data.mocap.corpus import CorpusOptions, build_corpus
from monocap.data.mocap.sheets import contact_sheet
from monocap.media.pictures import write_image


def run(folder: Path, out: Path, all_origins: bool, sheets: int, seed: int, as_json: bool) -> int:
    """Build the corpus, draw ``sheets`` contact sheets of takes spread over the archives, say what came of it."""
    body = load_body("open")
    with ProgressDisplay() as display:
        report = build_corpus(
            folder,
            out,
            body,
            CorpusOptions(all_origins=all_origins, seed=seed),
            lambda done, total: display("takes", done, total),
        )
    if sheets > 0:
        kept = {clip["clip"] for clip in report["clips"] if not clip["dropped"]}
        takes = [take for take in find_takes(folder) if take.name in kept]
        for index in np.unique(np.linspace(0, len(takes) - 1, min(sheets, len(takes))).round().astype(int)):
            clip = read_take(takes[index])
            picture = contact_sheet(clip, retarget(clip, body), body)
            write_image(out / "sheets" / f"{takes[index].name.replace('/', '-')}.jpg", picture)
    if as_json:
        print(json.dumps({key: value for key, value in report.items() if key != "clips"}))
    else:
        _say(report, out)
    return 0


def _say(report: dict[str, Any], out: Path) -> None:
    reasons = Counter(report["clips_dropped"])
    print(
        f"{report['takes']} takes, {report['minutes_kept']} minutes kept in {report['clips_kept']} clips",
        file=sys.stderr,
    )
    for reason, count in reasons.most_common():
        print(f"  {count} dropped: {reason}", file=sys.stderr)
    print(f"  {report['near_duplicates']} near-duplicate poses removed", file=sys.stderr)
    if report["leaked_clips"]:
        print(f"  {len(report['leaked_clips'])} clips look like a held-out performer's, dropped", file=sys.stderr)
    for split, kinds in report["splits"].items():
        print(f"{split:8} " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    print(f"report: {out / 'corpus.json'}", file=sys.stderr)
