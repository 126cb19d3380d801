"""The only rasteriser: meshes to colour, depth, normals and masks on the processor, no display or GL needed."""

from monocap.render.overlays import draw_skeleton, overlay, person_colour
from monocap.render.photograph import photograph
from monocap.render.raster import Buffers, interpolate, rasterise
from monocap.render.scene import Backdrop, Lamp, Scene, Shot, Surface
from monocap.render.shading import Drawing, Light, Mesh, draw, normal_map, vertex_normals
from monocap.render.views import render_view

__all__ = [
    "Backdrop",
    "Buffers",
    "Drawing",
    "Lamp",
    "Light",
    "Mesh",
    "Scene",
    "Shot",
    "Surface",
    "draw",
    "draw_skeleton",
    "interpolate",
    "normal_map",
    "overlay",
    "person_colour",
    "photograph",
    "rasterise",
    "render_view",
    "vertex_normals",
]
