"""Motion as files that other programs open; one module a format. `person.py` is where all of them take poses from."""

from monocap.export.amass import write_amass
from monocap.export.bvh import write_bvh
from monocap.export.formats import export_motion
from monocap.export.glb import write_glb
from monocap.export.jsonl import write_jsonl
from monocap.export.obj import write_obj
from monocap.export.obj_sequence import obj_every, posed_world, write_obj_sequence
from monocap.export.person import present
from monocap.export.skin import skin_names, skin_texture
from monocap.export.vrma import write_vrma

__all__ = [
    "export_motion",
    "obj_every",
    "posed_world",
    "present",
    "skin_names",
    "skin_texture",
    "write_amass",
    "write_bvh",
    "write_glb",
    "write_jsonl",
    "write_obj",
    "write_obj_sequence",
    "write_vrma",
]
