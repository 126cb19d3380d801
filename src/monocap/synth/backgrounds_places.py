"""Which kinds of places are there? A place is built around a camera that stands at the origin and looks along z over a
floor, with room for people before its back. Each kind belongs to one split."""

from __future__ import annotations

from collections.abc import Callable

from monocap.synth import backgrounds_outdoors as outdoors
from monocap.synth import backgrounds_rooms as rooms
from monocap.synth.backgrounds_build import Place

# kind → how it is built, how often it is drawn
_Kinds = dict[str, tuple[Callable[[Place], None], float]]
FAMILIES: dict[str, _Kinds] = {
    "train": {
        "living_room": (rooms.living_room, 3), "office": (rooms.office, 2), "gym": (rooms.gym, 2),
        "studio": (rooms.studio, 1), "street": (outdoors.street, 3), "park": (outdoors.park, 2.5),
        "garden": (outdoors.garden, 1.5),
    },
    "test": {
        "kitchen": (rooms.kitchen, 2), "corridor": (rooms.corridor, 1), "workshop": (rooms.workshop, 1.5),
        "square": (outdoors.square, 2), "beach": (outdoors.beach, 1), "court": (outdoors.court, 1.5),
    },
}  # fmt: skip
