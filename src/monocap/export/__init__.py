"""Motion as files that other programs open; one module a format."""

from monocap.export.glb import write_glb
from monocap.export.obj import write_obj
from monocap.export.skin import skin_texture

__all__ = ["skin_texture", "write_glb", "write_obj"]
