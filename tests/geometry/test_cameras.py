"""Cameras, crops, transforms and alignment against the official codes' numbers and their own inverses."""

import json
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from monocap.errors import InputError
from monocap.geometry import cameras, crops, procrustes, transforms
from monocap.types import Camera


@pytest.fixture
def reference(shared):
    return json.loads(shared("reference/reference_values.json").read_text())


def test_project_and_unproject(rng):
    camera = Camera(900.0, 950.0, 640.0, 355.0, 1280, 720)
    points = rng.normal(0, 1, (4, 7, 3)) + np.array([0, 0, 5])
    pixels = cameras.project(points, camera)
    by_matrix = points @ camera.K.T
    np.testing.assert_allclose(pixels, by_matrix[..., :2] / by_matrix[..., 2:])
    np.testing.assert_allclose(cameras.unproject(pixels, points[..., 2], camera), points, atol=1e-12)
    many = np.stack([camera.K * np.array([[k], [1], [1]]) for k in (1.0, 1.1, 1.2, 1.3)])
    np.testing.assert_allclose(cameras.project(points, many)[2], cameras.project(points[2], many[2]))
    with pytest.raises(InputError, match="skew"):
        cameras.project(points, np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]))


def test_fields_of_view_and_default_focal():
    assert cameras.fov_to_focal(math.pi / 2, 100) == pytest.approx(50)
    assert cameras.focal_to_fov(cameras.fov_to_focal(0.7, 640), 640) == pytest.approx(0.7)
    assert cameras.default_focal(720, 1280) == pytest.approx(1152)
    with pytest.raises(InputError, match="degrees"):
        cameras.fov_to_focal(55, 640)


def test_spin_and_hmr2_projection(reference):
    for key, resolution in (("spin_projection", 224), ("hmr2_projection", 256)):
        values = reference[key]
        cam = reference["spin_projection"]["cam"]
        t = cameras.weak_to_translation(np.array(cam), resolution)
        np.testing.assert_allclose(t, values["t"], rtol=1e-6)
    t = cameras.weak_to_translation(np.array(reference["spin_projection"]["cam"]), 224)
    K = cameras.intrinsics(5000, 5000, 0, 0)
    pixels = cameras.project(np.array(reference["spin_projection"]["X"]) + t[:, None], K) / 112
    np.testing.assert_allclose(pixels, reference["spin_projection"]["kp2d_norm"], atol=1e-6)


def test_crop_projections_of_all_families(reference):
    spin, hmr2 = reference["spin_projection"], reference["hmr2_projection"]
    X, cam = np.array(spin["X"]), np.array(spin["cam"])
    np.testing.assert_allclose(cameras.project_weak(X, cam), spin["weak_persp_s(X+t)"], atol=1e-7)
    np.testing.assert_allclose(cameras.project_crop(X, cam, 224), spin["kp2d_norm"], atol=1e-6)
    in_widths = cameras.project_crop(np.array(hmr2["X"]), cam, 256) / 2
    np.testing.assert_allclose(in_widths, hmr2["kp2d (units of crop width, 0=centre)"], atol=1e-6)


def test_crop_to_full_translation(reference):
    one = reference["hmr2_cam_crop_to_full"]
    box = np.array(one["box_center"]), one["box_size"]
    image = np.array(one["img_size_w_h"], dtype=float)
    t = cameras.crop_to_full_translation(np.array(one["cam_s_tx_ty"]), *box, image, one["focal"])
    np.testing.assert_allclose(t, one["out_t"], rtol=1e-6)
    back = cameras.full_to_crop_weak(t, *box, image, one["focal"])
    np.testing.assert_allclose(back, one["cam_s_tx_ty"], atol=1e-9)

    two = reference["cliff_cam"]
    focal = cameras.cliff_focal(np.array(two["full_img_shape_h_w"][::-1], dtype=float))
    np.testing.assert_allclose(focal, two["focal"][0], rtol=1e-6)
    size = 200 * two["scale"]
    t = cameras.crop_to_full_translation(np.array(two["cam"]), np.array(two["center"]), size, image, focal)
    np.testing.assert_allclose(t, two["out_t"], rtol=1e-6)
    info = cameras.box_info(np.array(two["center"]), size, image, focal)
    np.testing.assert_allclose(info, two["bbox_info"], rtol=1e-6)

    three = reference["vibe_crop_cam"]
    got = cameras.crop_to_image_weak(np.array(three["cam"]), three["bbox_cx_cy_h"][:2], three["bbox_cx_cy_h"][2], image)
    np.testing.assert_allclose(got, three["out_sx_sy_tx_ty"], rtol=1e-6)


def test_full_camera_agrees_with_the_crop_it_came_from(rng):
    """Independent of any reference: a point projected by both cameras lands on the same pixel, up to perspective."""
    weak, center, image = np.array([0.9, 0.1, -0.2]), np.array([300.0, 220.0]), np.array([1280.0, 720.0])
    size, focal = 260.0, 1e6
    t = cameras.crop_to_full_translation(weak, center, size, image, focal)
    x = rng.normal(0, 0.4, (10, 3))
    full = cameras.project(x + t, cameras.intrinsics(focal, focal, *(image / 2)))
    crop = weak[0] * (x[:, :2] + weak[1:])
    np.testing.assert_allclose(full, center + crop * size / 2, atol=0.05)


def test_look_rotation_turns_the_axis_onto_the_ray():
    K = cameras.intrinsics(800, 800, 640, 360)
    ray = cameras.ray_of(np.array([[100.0, 50.0], [640.0, 360.0]]), K)
    turn = cameras.look_rotation(ray)
    np.testing.assert_allclose(turn @ [0, 0, 1], ray, atol=1e-12)
    np.testing.assert_allclose(turn[1], np.eye(3), atol=1e-12)
    rolled = cameras.look_rotation(ray, roll=np.array([0.5, 0.5]))
    np.testing.assert_allclose(
        rolled[1] @ [1, 0, 0], [math.cos(0.5), math.sin(0.5), 0], atol=1e-12
    )  # clockwise, y down


def test_crop_matrices_are_the_official_ones(reference):
    spin = reference["spin_crop"]
    for key, angle in (("T_rot0", 0), ("T_rot25", 25)):
        got = crops.crop_matrix(spin["center"], 200 * spin["scale"], 224, math.radians(angle))
        np.testing.assert_allclose(got, spin[key], atol=1e-6)
    matrix = crops.crop_matrix(spin["center"], 200 * spin["scale"], 224)
    got = crops.transform_points_rounded(matrix, np.array([spin["transform_pt"]]))
    np.testing.assert_array_equal(got[0], spin["transform_out"])
    hmr2 = reference["hmr2_crop"]
    center, size = crops.square_box(np.array(hmr2["box_xyxy"]))
    np.testing.assert_allclose(center, hmr2["center"])
    assert size == hmr2["bbox_size_after_aspect_192_256_max"]
    plain = crops.crop_matrix(center, size, 256)
    np.testing.assert_allclose(plain[:2], hmr2["affine_scale1_rot0"], atol=1e-6)
    turned = crops.crop_matrix(center, 1.1 * size, 256, math.radians(20))
    np.testing.assert_allclose(turned[:2], hmr2["affine_scale1.1_rot20"], atol=1e-5)
    np.testing.assert_allclose(crops.transform_points(plain, np.array([hmr2["pt"]]))[0], hmr2["pt_out_rot0"], atol=1e-5)
    assert crops.square_box(np.array([0.0, 0.0, *hmr2["wide_box_wh"]]))[1] == hmr2["wide_box_size"]


def test_rotating_the_picture_rotates_the_person(reference):
    values = reference["rot_aa"]
    got = crops.rotate_in_plane(np.array(values["aa"]), math.radians(values["rot_deg"]))
    np.testing.assert_allclose(got, values["HMR2 rot_aa"], atol=1e-6)
    # and the crop's matrix agrees: a person's own x axis, seen in the turned picture
    matrix = crops.crop_matrix(np.zeros(2), 2.0, 2.0, math.radians(30))
    axis = Rotation.from_rotvec(values["aa"]).as_matrix()[:2, 0]
    np.testing.assert_allclose(matrix[:2, :2] @ axis, Rotation.from_rotvec(got).as_matrix()[:2, 0], atol=1e-12)


def test_transforms(rng):
    r, t = Rotation.from_rotvec(rng.normal(size=(5, 3))).as_matrix(), rng.normal(size=(5, 3))
    T = transforms.from_parts(r, t)
    x = rng.normal(size=(5, 9, 3))
    np.testing.assert_allclose(transforms.apply(T, x), np.einsum("nab,nib->nia", r, x) + t[:, None])
    np.testing.assert_allclose(
        transforms.compose(T, transforms.invert(T)), np.broadcast_to(np.eye(4), T.shape), atol=1e-12
    )
    assert transforms.from_parts(np.eye(3), t).shape == (5, 4, 4)


def test_move_body_moves_the_joints(rng):
    from monocap.geometry.kinematics import forward_kinematics
    from monocap.geometry.rotations import axis_angle_to_matrix
    from monocap.skeletons import get

    parents, rest, pose = get("smplx55").parents, rng.normal(0, 0.3, (55, 3)), rng.normal(0, 0.5, (55, 3))
    transl = rng.normal(size=3)
    T = transforms.from_parts(Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix(), np.array([1.0, 2.0, 3.0]))
    before = forward_kinematics(axis_angle_to_matrix(pose), rest, parents)[1] + transl
    orient, moved = transforms.move_body(T, pose[0], transl, rest[0])
    pose[0] = orient
    after = forward_kinematics(axis_angle_to_matrix(pose), rest, parents)[1] + moved
    np.testing.assert_allclose(after, transforms.apply(T, before), atol=1e-12)


def test_alignment_recovers_and_weighs(rng):
    source = rng.normal(size=(6, 20, 3))
    r, t, s = Rotation.from_rotvec(rng.normal(size=(6, 3))).as_matrix(), rng.normal(size=(6, 3)), rng.uniform(0.5, 2, 6)
    target = s[:, None, None] * source @ np.swapaxes(r, -1, -2) + t[:, None]
    got = procrustes.similarity_alignment(source, target)
    np.testing.assert_allclose(got.rotation, r, atol=1e-12)
    np.testing.assert_allclose(got.scale, s)
    np.testing.assert_allclose(got.apply(source), target, atol=1e-12)
    rigid = procrustes.rigid_alignment(source, target / s[:, None, None])
    np.testing.assert_allclose(rigid.rotation, r, atol=1e-12)
    assert (rigid.scale == 1).all()
    spoiled = target.copy()
    spoiled[:, 3] += 100
    weights = np.ones(20)
    weights[3] = 0
    np.testing.assert_allclose(procrustes.similarity_alignment(source, spoiled, weights).scale, s)
    with pytest.raises(InputError, match="weights"):
        procrustes.rigid_alignment(source, target, np.zeros(20))
    judge = Rotation.align_vectors(target[0] - target[0].mean(0), source[0] - source[0].mean(0))[0]
    np.testing.assert_allclose(rigid.rotation[0], judge.as_matrix(), atol=1e-12)


def test_alignment_of_a_flat_set_never_mirrors(rng):
    flat = rng.normal(size=(12, 3)) * [1, 1, 0]
    got = procrustes.similarity_alignment(flat * [-1, 1, 1], flat)  # a plane can be turned over instead
    np.testing.assert_allclose(np.linalg.det(got.rotation), 1)
    np.testing.assert_allclose(got.apply(flat * [-1, 1, 1]), flat, atol=1e-12)
    assert procrustes.similarity_alignment(np.ones((4, 3)), flat[:4]).scale == 1


def test_torch_gives_the_same(rng):
    torch = pytest.importorskip("torch", reason="the torch half")
    points, weak = rng.normal(0, 1, (3, 8, 3)) + np.array([0, 0, 5]), rng.uniform(0.5, 1, (3, 3))
    K = cameras.intrinsics(800, 810, 320, 240)
    tensor = torch.tensor(points, requires_grad=True)
    for ours, theirs in (
        (cameras.project(points, K), cameras.project(tensor, K)),
        (cameras.look_rotation(points[:, 0]), cameras.look_rotation(tensor[:, 0])),
        (
            cameras.crop_to_full_translation(weak, np.ones(2), 200.0, np.array([640, 480]), 500.0),
            cameras.crop_to_full_translation(torch.tensor(weak), np.ones(2), 200.0, np.array([640, 480]), 500.0),
        ),
        (
            crops.crop_matrix(weak[:, :2], 100.0, 224, 0.3),
            crops.crop_matrix(torch.tensor(weak[:, :2]), 100.0, 224, 0.3),
        ),
        (
            procrustes.similarity_alignment(points, points[::-1].copy()).apply(points),
            procrustes.similarity_alignment(tensor, torch.tensor(points[::-1].copy())).apply(tensor),
        ),
    ):
        np.testing.assert_allclose(theirs.detach(), ours, atol=1e-9)
    loss = procrustes.similarity_alignment(tensor, tensor.detach()).apply(tensor).square().sum()
    loss.backward()
    assert tensor.grad is not None
    assert torch.isfinite(tensor.grad).all()
