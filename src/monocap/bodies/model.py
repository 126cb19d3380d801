"""`BodyModel`: a linear shape space, a tree of joints and skinning weights; parameters in, joints and vertices out.

The computation is that of SMPL (Loper et al. 2015) and SMPL-X (Pavlakos et al. 2019): shape and expression
directions move the rest vertices and, through them, the rest joints; pose correctives are added where the file has
them; the tree is posed about the rest joints and the mesh follows by linear blend skinning; ``transl`` is added
last to everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from monocap.bodies import posing
from monocap.bodies.keypoints import Landmarks, Selection, available, combine, contour_joint, contour_row, select
from monocap.bodies.kinds import KINDS, Kind
from monocap.bodies.parameters import Posed, any_torch, assemble
from monocap.errors import InputError
from monocap.geometry.arrays import Array

if TYPE_CHECKING:
    from monocap.bodies.torch import TorchBody

_SINGLE = np.zeros(0, dtype=np.float32)  # lists and missing parameters are float32


@dataclass(frozen=True)
class BodyOutput:
    """``vertices`` (…,V,3) and ``joints`` (…,J,3) in metres, in the frame of ``global_orient`` and ``transl``."""

    vertices: Array
    joints: Array


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body in its rest pose (right-handed, y up, face to +z, left side to +x; metres): numpy arrays, meshes float32,
    rest joints float64.

    - ``v_template`` (V,3), ``faces`` (F,3), ``shapedirs`` (V,3,B) and ``exprdirs`` (V,3,E) per unit coefficient,
      ``posedirs`` (V,3,9(J−1)) or None when the file's are zero or absent;
    - ``parents`` (J,), ``joint_names`` (J), ``lbs_weights`` (V,J); ``J_template`` (J,3) and ``J_shapedirs``
      (J,3,B+E), the rest joints as a linear function of [betas; expression];
    - ``uv`` (U,2) and ``uv_faces`` (F,3) or None; ``extra_vertex_ids`` names single vertices as smplx does (nose,
      reye, LBigToe, lthumb …); ``landmarks`` (51) and ``contour`` (79 turns of the head, 17) of the face, or None;
    - ``hand_mean`` (90,), MANO (45,), is added to the hand poses (None for absolute ones); ``hand_components``
      by the name of a hand pose, (n,45): the pose is then n coefficients. `with_hands` sets both from what the
      file holds, ``hand_data``; ``licence`` in words.
    """

    name: str
    v_template: np.ndarray
    faces: np.ndarray
    shapedirs: np.ndarray
    exprdirs: np.ndarray
    posedirs: np.ndarray | None
    parents: np.ndarray
    joint_names: tuple[str, ...]
    lbs_weights: np.ndarray
    J_template: np.ndarray
    J_shapedirs: np.ndarray
    uv: np.ndarray | None = None
    uv_faces: np.ndarray | None = None
    extra_vertex_ids: Mapping[str, int] = field(default_factory=dict)
    hand_mean: np.ndarray | None = None
    hand_components: Mapping[str, np.ndarray] = field(default_factory=dict)
    hand_data: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    landmarks: Landmarks | None = None
    contour: Landmarks | None = None
    licence: str = ""
    _cache: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def kind(self) -> Kind:
        """Which of SMPL, SMPL-H, SMPL-X, MANO, FLAME this is, told by its joints."""
        return KINDS[len(self.parents)]

    @property
    def num_betas(self) -> int:
        """B, the number of shape coefficients."""
        return self.shapedirs.shape[2]

    @property
    def num_expressions(self) -> int:
        """E, the number of expression coefficients."""
        return self.exprdirs.shape[2]

    def __call__(self, **parameters: Array | None) -> BodyOutput:
        """Posed mesh and joints.

        Parameters, all optional (zero) and of any leading shapes that broadcast: ``betas`` (…,≤B), ``expression``
        (…,≤E); rotations as axis-angle in radians, ``global_orient`` (…,3), ``body_pose`` (…,63; SMPL: 69),
        ``jaw_pose``, ``left_eye_pose``, ``right_eye_pose``, FLAME's ``neck_pose`` (…,3), ``left_hand_pose``,
        ``right_hand_pose``, MANO's ``hand_pose`` (…,45, or coefficients: `with_hands`); ``transl`` (…,3) metres.
        Fewer betas than B are the leading ones. torch tensors in, tensors out.

        Raises InputError for a parameter this body does not have, or wrong shapes.
        """
        if any_torch(parameters):
            return self._torch_for(parameters)(**parameters)
        return BodyOutput(*self._pose(self._assemble(parameters)))

    def own(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Those of SMPL-X's ``parameters`` that this body has too: a motion holds all of them, whatever its body."""
        names = {name for name, _ in self.kind.parts} | {"betas", "transl"}
        if self.num_expressions:
            names.add("expression")
        return {name: value for name, value in parameters.items() if name in names}

    def joints_only(self, **parameters: Array | None) -> Array:
        """Posed joints (…,J,3), metres, without touching the mesh; parameters as for calling the body."""
        if any_torch(parameters):
            return self._torch_for(parameters).joints_only(**parameters)
        posed = self._assemble(parameters)
        return self._finish(posed, self._skeleton(posed)[1].joints)

    def full_pose(self, **parameters: Array | None) -> Array:
        """Local rotations (…,J,3) of all joints, axis-angle in radians, mean and components of the hands included."""
        posed = self._assemble(parameters)
        return np.broadcast_to(posed.pose, (*posed.lead, *posed.pose.shape[-2:]))

    def rest_joints(self, betas: Array | None = None, expression: Array | None = None) -> Array:
        """Rest joints (…,J,3) of a shape, metres; ``[..., 0, :]`` is the pelvis, about which the body turns."""
        parameters = {"betas": betas, "expression": expression}
        if any_torch(parameters):
            return self._torch_for(parameters).rest_joints(betas, expression)
        posed = self._assemble(parameters)
        coefficients, _ = self._coefficients(posed)
        rest = posing.rest_joints(self.tables(posed.pose.dtype), coefficients)
        return rest.reshape(*posed.lead, len(self.parents), 3).astype(posed.pose.dtype)

    def keypoint_names(self, which: str | Sequence[str] | None = None) -> tuple[str, ...]:
        """Names of a set of `keypoints`; without ``which`` of all points that the body has, the contour last."""
        return available(self) if which is None else self.selection(which).names

    def keypoints(self, which: str | Sequence[str] | None = None, **parameters: Array | None) -> Array:
        """Posed points (…,K,3), metres, of a named set, skinning no more than they need; parameters as for calling.

        ``which``: a skeleton's name, whose order the points are in (``"smplx127"``, ``"smplx144"`` with the contour
        of the face, ``"smpl45"``, ``"smplh73"``, ``"openpose25"``, ``"openpose135"``, ``"coco17"`` …); or names out of
        `keypoint_names`; None: all but the contour, which are smplx's joints. Which points make the contour depends on
        the turn of the neck, root included, for a face that is looked at from +z with y up, as in smplx; see
        `camera_keypoints`.

        Raises InputError for points that this body does not have.
        """
        if any_torch(parameters):
            return self._torch_for(parameters).keypoints(which, **parameters)
        return self._keypoints(which, parameters, camera=False)

    def camera_keypoints(self, which: str | Sequence[str] | None = None, **parameters: Array | None) -> Array:
        """`keypoints` of a body that is posed in a camera's frame (y down, z forward): the face's contour is the one
        that this camera sees, by the turn of the head."""
        if any_torch(parameters):
            return self._torch_for(parameters).camera_keypoints(which, **parameters)
        return self._keypoints(which, parameters, camera=True)

    def _keypoints(self, which: str | Sequence[str] | None, parameters: dict[str, Array | None], camera: bool) -> Array:
        selection, posed = self.selection(which), self._assemble(parameters)
        vertices, joints = self.restricted(selection.vertices)._pose(posed)
        row = None
        if len(selection.contour):
            row = np.broadcast_to(contour_row(posed.pose, self._tree, contour_joint(self, camera), camera), posed.lead)
        return combine(selection, selection.mix.astype(vertices.dtype), joints, vertices, row)

    def selection(self, which: str | Sequence[str] | None) -> Selection:
        """What `keypoints` of a set are made of; remembered."""
        key = ("selection", which if which is None or isinstance(which, str) else tuple(which))
        return self._remember(key, lambda: select(self, which))

    def with_hands(self, num_pca_comps: int | None = None, flat_hand_mean: bool = True) -> BodyModel:
        """The same body with hand poses given as so many coefficients of its principal components (None: as 45
        angles), and with the file's mean hand added unless ``flat_hand_mean``. Raises InputError where it has none.
        """
        hands = self.kind.hands
        if (num_pca_comps is not None or not flat_hand_mean) and any(name not in self.hand_data for name in hands):
            raise InputError(f"body {self.name!r} has no mean hands and components; use flat_hand_mean=True and angles")
        if not hands and (num_pca_comps is not None or not flat_hand_mean):
            raise InputError(f"body {self.name!r} has no hands")
        if num_pca_comps is not None and not 1 <= num_pca_comps <= 45:
            raise InputError(f"num_pca_comps is {num_pca_comps}; expected 1…45")
        components = {name: self.hand_data[name][1][:num_pca_comps] for name in hands if num_pca_comps is not None}
        mean = None if flat_hand_mean else np.concatenate([self.hand_data[name][0] for name in hands])
        return replace(self, hand_mean=mean, hand_components=components)

    def vertices_at(self, ids: Array, **parameters: Array | None) -> Array:
        """Posed vertices (…,n,3) of ``ids`` (n,) only, metres; parameters as for calling the body."""
        return self.restricted(ids)(**parameters).vertices

    def with_betas(self, count: int) -> BodyModel:
        """The same body with its ``count`` leading betas only. Raises InputError for more than it has."""
        if not 1 <= count <= self.num_betas:
            raise InputError(f"num_betas is {count}; body {self.name!r} has {self.num_betas}")
        kept = np.r_[0:count, self.num_betas : self.J_shapedirs.shape[2]]
        return replace(self, shapedirs=self.shapedirs[..., :count], J_shapedirs=self.J_shapedirs[..., kept])

    def restricted(self, ids: Array) -> BodyModel:
        """The same body with only the vertices ``ids`` (n,) and no faces: cheap to pose."""
        index = np.asarray(ids, dtype=np.int64)
        if index.ndim != 1 or (len(index) and (index.min() < 0 or index.max() >= len(self.v_template))):
            raise InputError(f"vertex ids of shape {index.shape}; expected (n,) in 0…{len(self.v_template) - 1}")
        return self._remember(
            ("restricted", index.tobytes()),
            lambda: replace(
                self,
                v_template=self.v_template[index],
                faces=self.faces[:0],
                shapedirs=self.shapedirs[index],
                exprdirs=self.exprdirs[index],
                posedirs=None if self.posedirs is None else self.posedirs[index],
                lbs_weights=self.lbs_weights[index],
                uv=None,
                uv_faces=None,
                extra_vertex_ids={},
                landmarks=None,
                contour=None,
            ),
        )

    def extra_points(self, **parameters: Array | None) -> Array:
        """Posed points on the skin (…,n,3) in the order of ``extra_vertex_ids``: with the joints before them, these
        are smplx's joints."""
        return self.vertices_at(np.array(list(self.extra_vertex_ids.values()), dtype=np.int64), **parameters)

    def to(self, library: Literal["torch"], **options: Any) -> TorchBody:
        """This body as a torch module (``device=``, ``dtype=``). Raises MissingDependencyError without torch."""
        if library != "torch":
            raise InputError(f"library {library!r}; expected 'torch' (a body called with numpy arrays stays in numpy)")
        from monocap.bodies.torch import TorchBody

        return TorchBody(self, **options)

    # ------------------------------------------------------------------ numpy
    def pose_mean(self) -> np.ndarray | None:
        """(J,3) rad that is added to every pose, or None."""
        if self.hand_mean is None or not self.hand_mean.any():
            return None
        mean = np.zeros((len(self.parents), 3), self.hand_mean.dtype)
        mean[-len(self.hand_mean) // 3 :] = self.hand_mean.reshape(-1, 3)
        return mean

    def tables(self, dtype: np.dtype) -> posing.Tables:
        """The body's arrays as the compiled loops want them, in the dtype of a call; made once."""
        precise = np.dtype(np.float64 if dtype == np.float64 else np.float32)
        return self._remember(("tables", precise), lambda: self._make_tables(precise))

    def _make_tables(self, dtype: np.dtype) -> posing.Tables:
        def first(array: np.ndarray) -> np.ndarray:
            return np.moveaxis(array, -1, 0)

        return posing.Tables.of(
            self.v_template,
            (first(self.shapedirs), first(self.exprdirs)),
            None if self.posedirs is None else first(self.posedirs),
            self.J_template,
            first(self.J_shapedirs),
            self._tree,
            self.lbs_weights,
            dtype,
        )

    def _assemble(self, parameters: dict[str, Any]) -> Posed:
        sizes = len(self.parents), self.num_betas, self.num_expressions
        posed = assemble(*sizes, parameters, _SINGLE, self.hand_components)
        mean = self.pose_mean()
        return posed if mean is None else replace(posed, pose=posed.pose + mean.astype(posed.pose.dtype))

    def _coefficients(self, posed: Posed) -> tuple[list[posing.Coefficients], np.ndarray]:
        """Shape coefficients with one batch axis, and which of the shapes each of the N bodies has (N,)."""
        given = [(values, block) for block, values in enumerate((posed.betas, posed.expression)) if values is not None]
        lead = np.broadcast_shapes((), *(values.shape[:-1] for values, _ in given))
        count = int(np.prod(lead))
        which = np.broadcast_to(np.arange(count).reshape(lead), posed.lead).reshape(-1)
        return [(_flat(values, lead, 1), block) for values, block in given], which

    def _skeleton(self, posed: Posed) -> tuple[list[posing.Coefficients], posing.Skeleton]:
        coefficients, which = self._coefficients(posed)
        pose = np.broadcast_to(posed.pose, (*posed.lead, *posed.pose.shape[-2:])).reshape(-1, *posed.pose.shape[-2:])
        return coefficients, posing.pose_skeleton(self.tables(posed.pose.dtype), pose, coefficients, which)

    def _pose(self, posed: Posed) -> tuple[np.ndarray, np.ndarray]:
        coefficients, skeleton = self._skeleton(posed)
        transl = np.zeros((1, 3)) if posed.transl is None else _flat(posed.transl, posed.lead, 1)
        vertices, _ = posing.skin(self.tables(posed.pose.dtype), skeleton, coefficients, transl)
        shaped = vertices.reshape(*posed.lead, *vertices.shape[1:]).astype(posed.pose.dtype, copy=False)
        return shaped, self._finish(posed, skeleton.joints)

    @property
    def _tree(self) -> tuple[int, ...]:
        return self._remember("tree", lambda: tuple(int(p) for p in self.parents))

    def _finish(self, posed: Posed, joints: np.ndarray) -> np.ndarray:
        joints = joints.reshape(*posed.lead, *joints.shape[-2:])
        if posed.transl is not None:
            joints = joints + posed.transl[..., None, :]
        return joints.astype(posed.pose.dtype, copy=False)

    def _remember(self, key: Any, make: Any) -> Any:
        if key not in self._cache:
            passing = [old for old in self._cache if isinstance(old, tuple) and old[0] in ("restricted", "selection")]
            if len(passing) > 16:  # a stream of ever new ids must not fill the memory
                for old in passing:
                    del self._cache[old]
            self._cache[key] = make()
        return self._cache[key]

    # ------------------------------------------------------------------ torch
    def _torch_for(self, parameters: dict[str, Any]) -> TorchBody:
        """The torch twin on the device and in the dtype of the given tensors; made once."""
        from monocap.bodies.torch import TorchBody, kind_of

        device, dtype = kind_of(parameters)
        return self._remember(("torch", device, dtype), lambda: TorchBody(self, device=device, dtype=dtype, copy=False))


def _flat(array: np.ndarray, lead: tuple[int, ...], trailing: int) -> np.ndarray:
    """Leading axes merged into one of the result's size, or of size 1 where nothing varies."""
    own, core = array.shape[: array.ndim - trailing], array.shape[array.ndim - trailing :]
    if own != lead and int(np.prod(own)) != 1:
        array = np.broadcast_to(array, (*lead, *core))
    return array.reshape(int(np.prod(array.shape[: array.ndim - trailing])), *core)  # -1 fails for no coefficients
