"""The only rasteriser: meshes to colour, depth, normals and masks on the processor, no display or GL needed."""

from monocap.render.overlays import draw_skeleton, overlay, person_colour
from monocap.render.raster import Buffers, interpolate, rasterise
from monocap.render.shading import Drawing, Light, Mesh, draw, normal_map, vertex_normals
from monocap.render.views import render_view

__all__ = [
    "Buffers",
    "Drawing",
    "Light",
    "Mesh",
    "draw",
    "draw_skeleton",
    "interpolate",
    "normal_map",
    "overlay",
    "person_colour",
    "rasterise",
    "render_view",
    "vertex_normals",
]
