"""From pixels to people and keypoints: detection, BlazePose landmarks, the people of a video, photographs, masks."""

from monocap.perception.blazepose import BlazePose, PoseResult, turn_to_camera
from monocap.perception.lifter import Lifter
from monocap.perception.people import PeopleDetector
from monocap.perception.photo import find_people_keypoints, find_person_keypoints
from monocap.perception.roi import Roi
from monocap.perception.tracker import PeopleTracker

__all__ = [
    "BlazePose",
    "Lifter",
    "PeopleDetector",
    "PeopleTracker",
    "PoseResult",
    "Roi",
    "find_people_keypoints",
    "find_person_keypoints",
    "turn_to_camera",
]
