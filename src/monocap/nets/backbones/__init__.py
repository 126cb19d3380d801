"""Backbones: a picture in, feature maps out, finest first. Every one says its ``channels`` per map.

`resnet` (v1 and HMR's pre-activation v2), `hrnet`, `vit`; layer names are those of the released checkpoints.
"""
