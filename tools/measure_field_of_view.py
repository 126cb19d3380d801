"""How well straight lines tell the camera: made-up places without people, cameras known.

    python tools/measure_field_of_view.py --count 60

Lenses 24 to 85 mm equivalent, pitch within ±30°, held level or nearly so. Prints, for ln f: error of the guess and of
the usual lens, how often lines tell anything, and whether the deviation that is told is that which is found.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from threadpoolctl import threadpool_limits

from monocap.media.exif import DIAGONAL_35MM
from monocap.perception.field_of_view import guess_camera, typical, up_of
from monocap.synth import backgrounds
from monocap.types import Array, Camera

TOLD = 0.3  # deviation of ln f below which lines have said something (the usual lens: 0.35)


def place(number: int) -> tuple[Array, float, float, float]:
    """A picture, its focal length in pixels, pitch and roll in radians."""
    rng = np.random.default_rng([7, number])
    width, height = [(640, 480), (480, 640), (640, 360), (640, 640)][rng.integers(4)]
    focal = math.exp(rng.uniform(math.log(24), math.log(85))) / DIAGONAL_35MM * math.hypot(width, height)
    pitch = math.radians(rng.uniform(-30, 30) if rng.random() < 0.5 else rng.normal(-5, 8))
    roll = math.radians(rng.normal(0, 2.5))
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    split, reach = ("test", "train")[number % 2], rng.uniform(3, 8)
    made = backgrounds.backdrop(
        rng, camera, up_of(pitch, roll), rng.uniform(0.8, 2.2), split, reach=reach, detail=1.0
    )  # fmt: skip
    return np.asarray(made.image), focal, pitch, roll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    count = parser.parse_args().count
    rows, spent = [], 0.0
    with threadpool_limits(1):
        for number in range(count):
            image, focal, pitch, roll = place(number)
            start = time.process_time()
            guess = guess_camera(image, threads=1)
            spent += time.process_time() - start
            usual = typical(image.shape[1], image.shape[0]).focal
            tilt = (np.nan, np.nan, np.nan)
            if guess.pitch is not None and guess.roll is not None and guess.tilt_sigma is not None:
                tilt = (guess.pitch - pitch, guess.roll - roll, guess.tilt_sigma)
            rows.append((math.log(guess.focal / focal), guess.log_sigma, math.log(usual / focal), *tilt))
    found = np.array(rows)
    off, sigma, usual = np.abs(found[:, 0]), found[:, 1], np.abs(found[:, 2])
    told = sigma < TOLD
    print(f"{count} places, {spent / count:.2f} CPU s each")
    print(f"median |ln f / true|: {np.median(off):.3f}; usual lens {np.median(usual):.3f}")
    there, without = np.median(off[told]), np.median(usual[told])
    print(f"lines told something of {told.mean():.0%}: there {there:.3f}, usual lens {without:.3f}")
    z = found[told, 0] / sigma[told]
    rms, within = np.sqrt(np.mean(z**2)), np.mean(np.abs(z) < 1)
    print(f"errors there in the deviations that were told: rms {rms:.2f}, {within:.0%} below one")
    sure = found[np.degrees(found[:, 5]) < 3]
    pitch, roll = np.degrees(np.median(np.abs(sure[:, 3:5]), axis=0))
    print(f"tilt told within 3° for {len(sure) / count:.0%}: pitch {pitch:.2f}°, roll {roll:.2f}° (medians)")


if __name__ == "__main__":
    main()
