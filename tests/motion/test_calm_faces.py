"""Blinks and closed lips survive smoothing, people whose eyes seem half shut open them, gaps come to rest."""

import numpy as np

from monocap.motion.faces import calm_face, calm_shapes
from monocap.perception.parts import no_parts
from monocap.types import ARKIT, BodyEstimate, BodyParams, Parts

BLINK, OPEN, CLOSE = (ARKIT.index(name) for name in ("eyeBlinkLeft", "jawOpen", "mouthClose"))
FRAMES = 90
TIMES = np.arange(FRAMES) / 30


def face(usual: float = 0.0) -> Parts:
    parts = no_parts(FRAMES)
    parts.face[..., 2] = 1.0
    parts.shapes[:, BLINK] = usual
    parts.shapes[40:44, BLINK] = 0.95
    return parts


def test_a_blink_of_four_frames_survives() -> None:
    calm = calm_shapes(face(), TIMES).shapes[:, BLINK]
    assert calm[40:44].max() > 0.85
    assert calm[:36].max() < 0.01
    assert calm[48:].max() < 0.01


def test_eyes_that_seem_half_shut_all_the_time_are_open() -> None:
    calm = calm_shapes(face(0.45), TIMES).shapes[:, BLINK]
    assert calm[:36].max() < 0.02
    assert calm[40:44].max() > 0.75


def test_short_clips_are_left_as_they_are() -> None:
    parts = face(0.45)
    few = Parts(parts.hands[:20], parts.face[:20], parts.shapes[:20])
    np.testing.assert_allclose(calm_shapes(few, TIMES[:20]).shapes[:, BLINK], 0.45, atol=1e-6)


def test_gaps_come_to_rest_and_are_bridged_when_short() -> None:
    parts = face()
    parts.shapes[:, OPEN] = 0.8
    parts.face[20:22] = parts.face[50:80] = 0.0
    parts.shapes[20:22] = parts.shapes[50:80] = 0.0
    calm = calm_shapes(parts, TIMES).shapes[:, OPEN]
    assert calm[20:22].min() > 0.6
    assert calm[60:70].max() < 1e-3
    assert np.abs(np.diff(calm)).max() < 0.4


def test_lip_closure_survives() -> None:
    """Lips that close for a tenth of a second while somebody speaks."""
    jaw = np.tile([0.2, 0.0, 0.0], (FRAMES, 1))
    jaw[30:33] = 0.0
    zero = np.zeros((FRAMES, 3))
    params = BodyParams(np.zeros(10), zero, np.zeros((FRAMES, 63)), zero, jaw_pose=jaw)
    nothing = np.zeros(FRAMES)
    calm = calm_face(BodyEstimate(params, np.zeros((FRAMES, 55, 3)), nothing > -1, nothing, nothing), TIMES)
    assert calm.params.jaw_pose is not None
    assert calm.params.jaw_pose[31, 0] < 0.03
    np.testing.assert_allclose(calm.params.jaw_pose[10, 0], 0.2)
