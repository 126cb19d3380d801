"""`TorchBody`: a `BodyModel` on torch, with gradients. Needs ``monocap[torch]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from monocap.bodies import posing, reference
from monocap.bodies.keypoints import combine, contour_joint, contour_row
from monocap.bodies.parameters import Posed, assemble
from monocap.errors import MissingDependencyError

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:  # pragma: no cover - exercised where torch is absent
    raise MissingDependencyError("torch", "torch") from error

from monocap.bodies.model import BodyOutput

if TYPE_CHECKING:
    from monocap.bodies.model import BodyModel

_COMPILED = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


def kind_of(parameters: dict[str, Any]) -> tuple[torch.device, torch.dtype]:
    """Device and (widest floating) dtype of the tensors among the values."""
    tensors = [value for value in parameters.values() if isinstance(value, Tensor)]
    dtype = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            dtype = torch.promote_types(dtype, tensor.dtype)
    return tensors[0].device, dtype


class TorchBody(nn.Module):
    """The same parameters and results as `BodyModel`, as tensors; buffers follow ``.to(device)``.

    On the CPU the compiled loops of `posing` run, forward and backward (once differentiable; forward-mode and
    ``torch.func`` need ``kernels=False``); elsewhere the lines of `reference`. float64 parameters give float64
    results; ``.double()`` spares the conversion of the buffers.
    """

    v_template: Tensor
    shapedirs: Tensor
    exprdirs: Tensor
    posedirs: Tensor | None
    lbs_weights: Tensor
    J_template: Tensor
    J_shapedirs: Tensor
    faces: Tensor
    pose_mean: Tensor | None

    def __init__(
        self,
        body: BodyModel,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        kernels: bool = True,
        copy: bool = True,
    ) -> None:
        """``copy=False`` shares memory with ``body`` where it can."""
        super().__init__()
        self.body, self.kernels = body, kernels
        self.name, self.joint_names = body.name, body.joint_names
        self.parents = tuple(int(p) for p in body.parents)
        self.extra_vertex_ids = dict(body.extra_vertex_ids)
        self._made: dict[Any, Any] = {}

        def buffer(name: str, value: np.ndarray | None, kind: torch.dtype) -> None:
            # a copy by default: the module's in-place operations must not reach the numpy body
            tensor = None if value is None else torch.as_tensor(value, dtype=kind, device=device)
            if tensor is not None and copy:
                tensor = tensor.clone()
            self.register_buffer(name, tensor, persistent=False)

        for name in ("v_template", "J_template", "J_shapedirs", "lbs_weights"):
            buffer(name, getattr(body, name), dtype)
        for name in ("shapedirs", "exprdirs", "posedirs"):  # kept as the loops want them: direction first
            value = getattr(body, name)
            buffer(f"_{name}", None if value is None else np.ascontiguousarray(np.moveaxis(value, -1, 0)), dtype)
        for name, value in body.hand_components.items():
            buffer(f"_{name}_components", value, dtype)
        buffer("pose_mean", body.pose_mean(), dtype)
        buffer("faces", body.faces, torch.int64)

    def __getattr__(self, name: str) -> Any:
        if name in ("shapedirs", "exprdirs", "posedirs"):
            value: Any = super().__getattr__(f"_{name}")
            return None if value is None else value.movedim(0, -1)
        return super().__getattr__(name)

    def _apply(self, *args: Any, **options: Any) -> TorchBody:
        self._made = {}  # made of buffers that are about to change
        return super()._apply(*args, **options)

    @property
    def num_betas(self) -> int:
        """B, the number of shape coefficients."""
        return self._buffers["_shapedirs"].shape[0]  # type: ignore[union-attr]

    def forward(self, **parameters: Any) -> BodyOutput:
        """Posed mesh (…,V,3) and joints (…,J,3); see `BodyModel.__call__`."""
        posed = self._assemble(parameters)
        vertices, joints = self._compiled(posed) if self._runs_compiled(posed) else reference.pose(self, posed)
        return BodyOutput(self._whole(posed, vertices), self._whole(posed, joints))

    def joints_only(self, **parameters: Any) -> Tensor:
        """Posed joints (…,J,3) without touching the mesh."""
        posed = self._assemble(parameters)
        if self._runs_compiled(posed):
            return self._compiled(posed, mesh=False)[1]
        joints = reference.joints(self, posed)[2]
        return self._whole(posed, joints if posed.transl is None else joints + posed.transl[..., None, :])

    def rest_joints(self, betas: Any = None, expression: Any = None) -> Tensor:
        """Rest joints (…,J,3) of a shape, metres."""
        posed = self._assemble({"betas": betas, "expression": expression})
        return reference.rest_joints(self, posed)

    def keypoints(self, which: str | Sequence[str] | None = None, **parameters: Any) -> Tensor:
        """Posed points (…,K,3) of a named set; see `BodyModel.keypoints`."""
        return self._keypoints(which, parameters, camera=False)

    def camera_keypoints(self, which: str | Sequence[str] | None = None, **parameters: Any) -> Tensor:
        """The same of a body posed in a camera's frame; see `BodyModel.camera_keypoints`."""
        return self._keypoints(which, parameters, camera=True)

    def _keypoints(self, which: str | Sequence[str] | None, parameters: dict[str, Any], camera: bool) -> Tensor:
        selection = self.body.selection(which)
        posed = self._assemble(parameters)
        few = self._few(selection.vertices)
        vertices, joints = few._compiled(posed) if few._runs_compiled(posed) else reference.pose(few, posed)
        vertices, joints = self._whole(posed, vertices), self._whole(posed, joints)
        row = None
        if len(selection.contour):
            joint = contour_joint(self.body, camera)
            row = contour_row(posed.pose, self.parents, joint, camera).broadcast_to(posed.lead)
        key = ("mix", selection.names, vertices.dtype)
        if key not in self._made:
            self._made[key] = torch.as_tensor(selection.mix, dtype=vertices.dtype, device=vertices.device)
        return combine(selection, self._made[key], joints, vertices, row)

    # ------------------------------------------------------------------ parts
    def _few(self, vertices: np.ndarray) -> TorchBody:
        key = ("restricted", vertices.tobytes())
        if key not in self._made:
            if len(self._made) > 32:
                self._made.clear()
            like = self.v_template
            self._made[key] = TorchBody(
                self.body.restricted(vertices), device=like.device, dtype=like.dtype, kernels=self.kernels, copy=False
            )
        return self._made[key]

    def _assemble(self, parameters: dict[str, Any]) -> Posed:
        sizes = len(self.parents), self.num_betas, self._buffers["_exprdirs"].shape[0]  # type: ignore[union-attr]
        components = {name: getattr(self, f"_{name}_components") for name in self.body.hand_components}
        posed = assemble(*sizes, parameters, self.v_template, components)
        if self.pose_mean is not None:
            mean = self.pose_mean.to(posed.pose.dtype)
            posed = Posed(posed.pose + mean, posed.betas, posed.expression, posed.transl, posed.lead)
        return posed

    def _runs_compiled(self, posed: Posed) -> bool:
        return (
            self.kernels
            and self.v_template.device.type == "cpu"
            and posed.pose.dtype in _COMPILED
            and not torch.compiler.is_compiling()
        )

    def _compiled(self, posed: Posed, mesh: bool = True) -> tuple[Tensor, Tensor]:
        given = [(b, v) for b, v in enumerate((posed.betas, posed.expression)) if v is not None]
        lead = torch.broadcast_shapes((), *(v.shape[:-1] for _, v in given))
        shapes, bodies = int(np.prod(lead)), int(np.prod(posed.lead))
        which = np.broadcast_to(np.arange(shapes).reshape(lead), posed.lead).reshape(-1)
        pose = posed.pose.broadcast_to((*posed.lead, *posed.pose.shape[-2:])).reshape(bodies, len(self.parents), 3)
        coefficients = [v.broadcast_to((*lead, v.shape[-1])).reshape(shapes, v.shape[-1]) for _, v in given]
        blocks = tuple(b for b, _ in given)
        vertices, joints = _Posing.apply(self._tables(pose.dtype), which, mesh, blocks, pose, *coefficients)  # type: ignore[misc]
        vertices, joints = (v.reshape(*posed.lead, *v.shape[-2:]) for v in (vertices, joints))
        if posed.transl is not None:
            shift = posed.transl[..., None, :]
            vertices, joints = vertices + shift if mesh else vertices, joints + shift
        return vertices, joints

    def _tables(self, dtype: torch.dtype) -> posing.Tables:
        if dtype not in self._made:
            posedirs = self._buffers["_posedirs"]

            def array(tensor: Tensor | None) -> np.ndarray:
                assert tensor is not None
                return tensor.detach().numpy()

            self._made[dtype] = posing.Tables.of(
                array(self.v_template),
                (array(self._buffers["_shapedirs"]), array(self._buffers["_exprdirs"])),
                None if posedirs is None else array(posedirs),
                array(self.J_template),
                np.moveaxis(array(self.J_shapedirs), -1, 0),
                self.parents,
                array(self.lbs_weights),
                _COMPILED[dtype],
            )
        return self._made[dtype]

    @staticmethod
    def _whole(posed: Posed, points: Tensor) -> Tensor:
        lead = (*posed.lead, *points.shape[-2:])
        return points if tuple(points.shape) == lead else points.broadcast_to(lead)


class _Posing(torch.autograd.Function):
    """`posing` as one node of the graph: pose (N,J,3) and shape coefficients (S,n) to vertices and joints."""

    @staticmethod
    def forward(
        ctx: Any, tables: posing.Tables, which: np.ndarray, mesh: bool, blocks: tuple[int, ...], pose: Tensor,
        *coefficients: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        given = [(value.detach().numpy(), block) for value, block in zip(coefficients, blocks, strict=True)]
        skeleton = posing.pose_skeleton(tables, pose.detach().numpy(), given, which)
        joints = torch.from_numpy(skeleton.joints).to(pose.dtype)
        if joints.dtype == torch.float64:
            joints = joints.clone()  # the caller may change it; backward needs ours
        vertices, state = torch.empty((len(joints), 0, 3), dtype=pose.dtype), None
        if mesh:
            keep = any(ctx.needs_input_grad)
            transl = np.zeros((1, 3), tables.template.dtype)
            array, state = posing.skin(tables, skeleton, given, transl, keep=keep)
            vertices = torch.from_numpy(array)
        ctx.held = tables, skeleton, state, blocks, [value.shape[-1] for value in coefficients]
        ctx.set_materialize_grads(False)
        return vertices, joints

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        tables, skeleton, state, blocks, sizes = ctx.held
        by_vertices, by_joints = (None if g is None else g.numpy() for g in grads)
        found = posing.adjoint(
            tables, skeleton, by_joints, by_vertices, state,
            shape=any(ctx.needs_input_grad[5:]), pose=ctx.needs_input_grad[4],
        )  # fmt: skip
        dtype = torch.from_numpy(tables.template).dtype

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

        pose = None if found.pose is None else tensor(found.pose)
        shapes = [
            None if found.coefficients is None else tensor(found.coefficients[block][:, :size])
            for block, size in zip(blocks, sizes, strict=True)
        ]
        return None, None, None, None, pose, *shapes
