"""ONNX Runtime sessions on the shipped networks: one per network and thread count in a process, CPU only."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import onnxruntime

from monocap.assets.manifest import locate
from monocap.errors import AssetError, InputError

onnxruntime.disable_telemetry_events()

MAX_BYTES = 2 << 30  # what the format itself can hold in one file
MAX_DEFAULT_THREADS = 4  # these networks are small: more threads only wait for one another


def default_threads() -> int:
    """Threads for one network when the caller does not say: the CPUs this process may use, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MAX_DEFAULT_THREADS, usable))


def session(name: str, threads: int | None = None) -> onnxruntime.InferenceSession:
    """The session of a network of the manifest, made at the first call and shared afterwards.

    ``threads``: threads inside one run, None for `default_threads`. Sessions may be run from several threads at once.

    Raises InputError for an unknown name or a thread count below 1, AssetError for a missing or damaged file.
    """
    threads = default_threads() if threads is None else threads
    if threads < 1:
        raise InputError(f"threads is {threads}; expected 1 or more, or None to choose by the machine")
    return _session(name, threads)


@functools.cache
def _session(name: str, threads: int) -> onnxruntime.InferenceSession:
    path = locate(name)
    try:
        return open_network(path, threads)
    except AssetError as error:
        raise AssetError(f"{error}. Run `monocap weights verify`") from error


def open_network(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on any ONNX file, a user's own too; ``threads`` as in `session`.

    Raises AssetError for a file that is missing, larger than 2 GB, or no network that ONNX Runtime can load.
    """
    if not path.is_file():
        raise AssetError(f"{path}: no such file; expected an ONNX network")
    if path.stat().st_size > MAX_BYTES:
        raise AssetError(
            f"{path}: has {path.stat().st_size >> 20} MB; networks of at most {MAX_BYTES >> 20} MB are read"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = default_threads() if threads is None else threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Spinning halves the time of these many small layers; between runs the cores belong to others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many classes, none of them public
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise AssetError(
            f"{path}: ONNX Runtime cannot load it ({first}); if the file is whole, pip install --upgrade onnxruntime"
        ) from error
