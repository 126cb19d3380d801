"""A motion as one HTML page that needs no network: video, overlay and 3D view in step."""

from monocap.view.page import write_page

__all__ = ["write_page"]
