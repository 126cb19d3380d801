"""VNect, frame by frame: `person.py` follows one person, `run.py` a video or photo; `networks.py` opens networks."""
