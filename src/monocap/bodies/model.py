"""`BodyModel`: a linear shape space, a tree of joints and skinning weights; parameters in, joints and vertices out.

The computation is that of SMPL (Loper et al. 2015) and SMPL-X (Pavlakos et al. 2019): shape and expression
directions move the rest vertices and, through them, the rest joints; pose correctives are added where the file has
them; the tree is posed about the rest joints and the mesh follows by linear blend skinning; ``transl`` is added
last to everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from monocap.bodies.parameters import Posed, any_torch, assemble
from monocap.bodies.skinning import SparseWeights, skin_batch
from monocap.errors import InputError
from monocap.geometry.arrays import Array
from monocap.geometry.kinematics import forward_kinematics_numba
from monocap.geometry.rotations import axis_angle_to_matrix

if TYPE_CHECKING:
    from monocap.bodies.torch import TorchBody


@dataclass(frozen=True)
class BodyOutput:
    """``vertices`` (…,V,3) and ``joints`` (…,J,3) in metres, in the frame of ``global_orient`` and ``transl``."""

    vertices: Array
    joints: Array


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A body in its rest pose (right-handed, y up, face to +z, left side to +x; metres), float32 numpy arrays.

    - ``v_template`` (V,3), ``faces`` (F,3), ``shapedirs`` (V,3,B) and ``exprdirs`` (V,3,E) per unit coefficient,
      ``posedirs`` (V,3,9(J−1)) or None when the file's are zero or absent;
    - ``parents`` (J,), ``joint_names`` (J), ``lbs_weights`` (V,J); ``J_template`` (J,3) and ``J_shapedirs``
      (J,3,B+E), the rest joints as a linear function of [betas; expression];
    - ``uv`` (U,2) and ``uv_faces`` (F,3) or None; ``extra_vertex_ids`` names single vertices as smplx does (nose,
      reye, LBigToe, lthumb …); ``hand_mean`` (90,) is added to the hand poses (zero for absolute ones).
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
    _cache: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

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
        (…,≤E); rotations as axis-angle in radians, ``global_orient`` (…,3), ``body_pose`` (…,63), ``jaw_pose``,
        ``left_eye_pose``, ``right_eye_pose`` (…,3), ``left_hand_pose``, ``right_hand_pose`` (…,45); ``transl``
        (…,3) metres. Fewer betas than B are the leading ones. torch tensors in, tensors out.

        Raises InputError for a parameter this body does not have, or wrong shapes.
        """
        if any_torch(parameters):
            return self._torch_for(parameters)(**parameters)
        posed = self._assemble(parameters)
        rest, world, joints = self._skeleton(posed)
        vertices = self._skin(posed, rest, world, joints)
        return BodyOutput(vertices, self._finish(posed, joints))

    def joints_only(self, **parameters: Array | None) -> Array:
        """Posed joints (…,J,3), metres, without touching the mesh; parameters as for calling the body."""
        if any_torch(parameters):
            return self._torch_for(parameters).joints_only(**parameters)
        posed = self._assemble(parameters)
        return self._finish(posed, self._skeleton(posed)[2])

    def rest_joints(self, betas: Array | None = None, expression: Array | None = None) -> Array:
        """Rest joints (…,J,3) of a shape, metres; ``[..., 0, :]`` is the pelvis, about which the body turns."""
        parameters = {"betas": betas, "expression": expression}
        if any_torch(parameters):
            return self._torch_for(parameters).rest_joints(betas, expression)
        posed = self._assemble(parameters)
        return np.ascontiguousarray(self._rest_joints(posed))

    def vertices_at(self, ids: Array, **parameters: Array | None) -> Array:
        """Posed vertices (…,n,3) of ``ids`` (n,) only, metres; parameters as for calling the body."""
        return self.restricted(ids)(**parameters).vertices

    def restricted(self, ids: Array) -> BodyModel:
        """The same body with only the vertices ``ids`` (n,) and no faces: cheap to pose."""
        index = np.asarray(ids, dtype=np.int64)
        if index.ndim != 1 or (len(index) and (index.min() < 0 or index.max() >= len(self.v_template))):
            raise InputError(f"vertex ids of shape {index.shape}; expected (n,) in 0…{len(self.v_template) - 1}")
        key = ("restricted", index.tobytes())
        if key not in self._cache:
            if len(self._cache) > 16:  # a stream of ever new ids must not fill the memory
                self._cache.clear()
            self._cache[key] = replace(
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
            )
        return self._cache[key]

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
    def _assemble(self, parameters: dict[str, Any]) -> Posed:
        joints = len(self.parents)
        posed = assemble(joints, self.num_betas, self.num_expressions, parameters, self.v_template)
        if self.hand_mean is not None and self.hand_mean.any():
            mean = np.zeros((joints, 3), posed.pose.dtype)
            mean[-30:] = self.hand_mean.reshape(30, 3)
            posed = replace(posed, pose=posed.pose + mean)
        return posed

    def _table(self, name: str, dtype: np.dtype) -> Any:
        """A field in the dtype of a call; made once."""
        key = (name, dtype)
        if key not in self._cache:
            self._cache[key] = getattr(self, name).astype(dtype, copy=False)
        return self._cache[key]

    def _linear(self, posed: Posed, base: str, shape: Any, expression: Any) -> Any:
        """base + directions · coefficients, (…s,n,3); s is () where neither betas nor expression is given."""
        dtype = posed.pose.dtype
        result = self._table(base, dtype)
        for coefficients, directions in ((posed.betas, shape), (posed.expression, expression)):
            if coefficients is not None and coefficients.shape[-1]:
                used = directions[..., : coefficients.shape[-1]].reshape(-1, coefficients.shape[-1])
                result = result + (coefficients @ used.T).reshape(*coefficients.shape[:-1], -1, 3)
        return result

    def _rest_joints(self, posed: Posed) -> Any:
        directions = self._table("J_shapedirs", posed.pose.dtype)
        return self._linear(posed, "J_template", directions[..., : self.num_betas], directions[..., self.num_betas :])

    def _skeleton(self, posed: Posed) -> tuple[Any, Any, Any]:
        """Rest joints (…s,J,3), world rotations and joints before translation (…,J,3,3), (…,J,3)."""
        rest = self._rest_joints(posed)
        world, joints = forward_kinematics_numba(axis_angle_to_matrix(posed.pose), rest, self._tree)
        return rest, world, joints

    @property
    def _tree(self) -> tuple[int, ...]:
        if "tree" not in self._cache:
            self._cache["tree"] = tuple(int(p) for p in self.parents)
        return self._cache["tree"]

    def _finish(self, posed: Posed, joints: Any) -> Any:
        if posed.transl is not None:
            joints = joints + posed.transl[..., None, :]
        return np.broadcast_to(joints, (*posed.lead, *joints.shape[-2:])).copy()

    def _skin(self, posed: Posed, rest: Any, world: Any, joints: Any) -> Any:
        dtype, lead = posed.pose.dtype, posed.lead
        count, bones = len(self.v_template), len(self.parents)
        shaped = self._linear(posed, "v_template", self._table("shapedirs", dtype), self._table("exprdirs", dtype))
        if self.posedirs is not None:
            feature = (axis_angle_to_matrix(posed.pose)[..., 1:, :, :] - np.eye(3, dtype=dtype)).reshape(
                *posed.pose.shape[:-2], 9 * (bones - 1)
            )
            correctives = self._table("posedirs", dtype).reshape(-1, feature.shape[-1])
            shaped = shaped + (feature @ correctives.T).reshape(*feature.shape[:-1], count, 3)
        transl = posed.transl if posed.transl is not None else np.zeros(3, dtype)
        sparse = self._sparse(dtype)
        out = np.empty((*lead, count, 3), dtype)
        skin_batch(
            _flat(shaped, lead, 2),
            *(_flat(world, lead, 3, full=True), _flat(joints, lead, 2, full=True), _flat(rest, lead, 2)),
            _flat(transl, lead, 1),
            *(sparse.start, sparse.joints, sparse.values, np.empty((bones, 12), dtype)),
            out.reshape(-1, count, 3),
        )
        return out

    def _sparse(self, dtype: np.dtype) -> SparseWeights:
        if ("sparse", dtype) not in self._cache:
            self._cache["sparse", dtype] = SparseWeights.of(self.lbs_weights.astype(dtype, copy=False))
        return self._cache["sparse", dtype]

    # ------------------------------------------------------------------ torch
    def _torch_for(self, parameters: dict[str, Any]) -> TorchBody:
        """The torch twin on the device and in the dtype of the given tensors; made once."""
        from monocap.bodies.torch import TorchBody, kind_of

        key = kind_of(parameters)
        if ("torch", key) not in self._cache:
            self._cache["torch", key] = TorchBody(self, device=key[0], dtype=key[1])
        return self._cache["torch", key]


def _flat(array: Any, lead: tuple[int, ...], trailing: int, full: bool = False) -> Any:
    """Leading axes merged into one of the result's size, or of size 1 where nothing varies (unless ``full``).

    Always writable: numba compiles a second version of a kernel for read-only arrays.
    """
    own, core = array.shape[: array.ndim - trailing], array.shape[array.ndim - trailing :]
    if own != lead and (full or int(np.prod(own)) != 1):
        array = np.broadcast_to(array, (*lead, *core))
    return np.require(array.reshape(-1, *core), requirements=["C", "W"])
