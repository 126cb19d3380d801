"""How skin, eyes, hair and cloth throw light back: one function per question, linear RGB, no shadows (see `lights`).

Highlights are GGX (Walter and others 2007) with Schlick's Fresnel term; hair has the two lobes along its strands of
Kajiya and Kay (1989); light that wanders under skin is told by a terminator that wraps round and is red.
"""

from __future__ import annotations

import math

from monocap.errors import InputError
from monocap.render.compiled import pixelwise
from monocap.render.scene import Surface

SKIN, EYES, HAIR, CLOTH, SHOES, OBJECT = range(6)
KINDS = {"skin": SKIN, "eyes": EYES, "hair": HAIR, "cloth": CLOTH, "shoes": SHOES, "object": OBJECT}
# strength and width of the highlight where the surface names none
_USUAL = {"skin": (0.32, 0.48), "eyes": (0.9, 0.12), "hair": (0.35, 0.4), "shoes": (0.25, 0.45)}


def highlight(surface: Surface) -> tuple[float, float]:
    """Gloss and roughness of a surface, or of its kind where ``gloss`` is 0. Raises InputError outside 0–1."""
    gloss, roughness = float(surface.gloss), float(surface.roughness)
    if not (0 <= gloss <= 1 and 0 <= roughness <= 1):
        raise InputError(f"gloss {gloss}, roughness {roughness}; both are 0 to 1")
    return (gloss, roughness) if gloss > 0 else _USUAL.get(surface.kind, (0.0, 0.5))


@pixelwise
def diffuse(kind: int, cosine: float, share: float) -> tuple[float, float, float]:
    """RGB factors of a lamp at ``cosine`` to the normal, of which ``share`` arrives."""
    if kind == SKIN:
        # wrapped by 0.22, 0.09, 0.06 and scaled so that no light is made
        red = max(cosine + 0.22, 0.0) / 1.22
        green = max(cosine + 0.09, 0.0) / 1.09
        blue = max(cosine + 0.06, 0.0) / 1.06
        return red * share**0.88, green * share**0.97, blue * share
    if kind == HAIR:
        value = max(cosine + 0.35, 0.0) / 1.35 * share
        return value, value, value
    if kind == CLOTH:  # threads stand in all directions: flatter than Lambert
        value = max(cosine + 0.08, 0.0) / 1.08 * share
        return value, value, value
    value = max(cosine, 0.0) * share
    return value, value, value


@pixelwise
def ggx(cosine: float, facing: float, half: float, across: float, gloss: float, roughness: float) -> float:
    """Highlight times cosine. ``facing``: normal · eye, ``half``: normal · half-way, ``across``: eye · half-way."""
    if cosine <= 0.0:
        return 0.0
    alpha = max(roughness * roughness, 0.01)
    a2 = alpha * alpha
    d = half * half * (a2 - 1.0) + 1.0
    k = 0.5 * alpha
    visible = 0.25 / ((cosine * (1.0 - k) + k) * (facing * (1.0 - k) + k))
    normal = 0.08 * gloss
    fresnel = normal + (min(25.0 * normal, 1.0) - normal) * (1.0 - across) ** 5
    return min(a2 / (d * d) * visible * fresnel * cosine, 4.0)  # lamps are given as π times their light


@pixelwise
def strand(along: float, gloss: float, roughness: float) -> tuple[float, float]:
    """Two lobes of a hair: white, and tinted by its colour. ``along``: strand · half-way vector."""
    sine = math.sqrt(max(1.0 - along * along, 0.0))
    power = 8.0 + 90.0 * (1.0 - roughness) ** 2
    first = sine**power
    other = min(max(along + 0.12, -1.0), 1.0)
    second = math.sqrt(max(1.0 - other * other, 0.0)) ** (0.4 * power)
    return 0.10 * gloss * first, 0.9 * gloss * second


@pixelwise
def mirror(facing: float, gloss: float, roughness: float) -> float:
    """Share of the surroundings that is mirrored (the split-sum fit of Karis 2014, shortened)."""
    normal = 0.08 * gloss
    return normal + max(min(1.0 - roughness, 25.0 * normal) - normal, 0.0) * (1.0 - facing) ** 5
