"""``monocap bodies``."""

from __future__ import annotations

import numpy as np

from monocap.bodies import load_body


def run(action: str, name: str) -> int:
    """``list`` or ``info [NAME or FILE]``; prints on standard output, returns the exit status."""
    if action == "list":
        print("open    the embedded body: CC0, SMPL-X joint order and file format, 55 joints")
        print("FILE    an official SMPL-X .npz of your own (registration at its makers, non-commercial)")
        return 0
    body = load_body(name)
    heights = np.asarray(body.v_template)[:, 1]
    print(f"name         {body.name}")
    print(f"vertices     {len(body.v_template)}")
    print(f"triangles    {len(body.faces)}")
    print(f"joints       {len(body.joint_names)}: {', '.join(body.joint_names[:22])}, jaw, eyes, fingers")
    print(f"betas        {body.shapedirs.shape[2]}")
    print(f"expression   {body.exprdirs.shape[2]}")
    print(f"stature      {np.ptp(heights):.3f} m at betas 0")
    return 0
