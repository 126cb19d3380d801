"""Many processes by Lightning Fabric: how many, how they start, and that none is left behind.

Fabric starts the command again for every further device of a node, and finds itself among processes that torchrun or
SLURM started; so what comes before training (reading data, building the network) happens in each of them.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from monocap.errors import InputError

if TYPE_CHECKING:
    from monocap.train.settings import TrainSettings


class Mixed(MixedPrecision):
    """Autocast that leaves what goes into the network as it is.

    Fabric's own rounds every floating-point input to 16 bits, which costs a box or a focal length in pixels its last
    three digits; autocast rounds where a layer computes in 16 bits anyway.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def processes(accelerator: str, devices: int | Literal["auto"], nodes: int) -> int:
    """How many processes train together; ``auto`` devices are all GPUs of this machine, or one processor."""
    if devices != "auto":
        return devices * nodes
    return max(1, torch.cuda.device_count() if kind_of_device(accelerator) == "cuda" else 1) * nodes


def kind_of_device(accelerator: str) -> str:
    """cpu, cuda or mps, for an accelerator that may be "auto"."""
    if accelerator != "auto":
        return accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def launch(settings: TrainSettings) -> Fabric:
    """Start all processes and meet them; returns the Fabric of this one.

    Raises InputError if as many devices are not there, or the processes that were started are not as many.
    """
    kind = kind_of_device(settings.accelerator)
    plugins: list[Any] = [] if settings.precision == "32-true" else [Mixed(settings.precision, kind)]
    wanted = processes(settings.accelerator, settings.devices, settings.nodes)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind)
    if there is not None and settings.devices != "auto" and settings.devices > there:
        raise InputError(f"devices is {settings.devices}; this machine has {there} ({kind})")
    if wanted > 1 and os.environ.get("LOCAL_RANK", "0") != "0":
        _end_with_parent()
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=wanted // settings.nodes,
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        plugins=plugins,
    )
    fabric.launch()
    if fabric.world_size != wanted:
        raise InputError(
            f"{fabric.world_size} processes were started, devices × nodes is {wanted}; give --devices and --nodes as "
            "the launcher has them"
        )
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    return fabric


def leave(fabric: Fabric) -> None:
    """The end of training: all wait for the first process, which goes on alone; the others exit here."""
    if fabric.world_size == 1:
        return
    fabric.barrier()
    torch.distributed.destroy_process_group()
    if not fabric.is_global_zero:
        sys.exit(0)


def _end_with_parent() -> None:
    """A process that Fabric started ends when its parent is gone: killed outright, it cannot take its children along,
    and on a GPU they would wait for it until the communication times out."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
