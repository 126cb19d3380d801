"""Pictures and video in and out: photos, videos, folders; upright RGB frames with their true times."""

from monocap.media.pictures import Picture, read_picture, write_image
from monocap.media.readers import Media, open_media, open_pictures
from monocap.media.writers import VideoWriter

__all__ = ["Media", "Picture", "VideoWriter", "open_media", "open_pictures", "read_picture", "write_image"]
