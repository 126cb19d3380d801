"""Cut examples/demo.mp4 from Sports2D's demo video (BSD-3-Clause, by David Pagnon).

pip download --no-deps sports2d==0.8.34 && unzip sports2d-*.whl 'Sports2D/Demo/demo.mp4'
python tools/make_example.py Sports2D/Demo/demo.mp4 examples/demo.mp4
"""

from __future__ import annotations

import sys
from fractions import Fraction

import av

START, STOP, WIDTH, HEIGHT = 2.2, 5.7, 1280, 720


def main(source: str, target: str) -> None:
    with av.open(source) as reader, av.open(target, "w") as writer:
        stream = writer.add_stream("libx264", rate=30, options={"crf": "27", "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 30)
        written = 0
        for frame in reader.decode(video=0):
            if frame.time is None or not START <= frame.time < STOP:
                continue
            picture = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="LANCZOS")
            picture.pts, picture.time_base = written, Fraction(1, 30)
            written += 1
            writer.mux(stream.encode(picture))
        writer.mux(stream.encode(None))
    print(f"{target}: {written} frames")


if __name__ == "__main__":
    main(*sys.argv[1:3])
