"""Which executor an audit asks for, with workers that load the target themselves."""

import functools
from pathlib import Path

import torch

from auditor.config.document import AuditDocument
from auditor.config.settings import AuditSettings
from auditor.core.errors import AuditorError
from auditor.engine.environment import default_workers
from auditor.engine.executors import Executor, Serial
from auditor.engine.processes import Processes
from auditor.engine.workshop import Locate, Workshop
from auditor.store.run_directory import RunDirectory
from auditor.targets.load import load_target
from auditor.targets.target import Target


def make_executor(document: AuditDocument, target: Target, *, out: Path, device: str) -> Executor:
    """The executor of ``compute.executor``.

    Raises:
        AuditorError: where it needs something that is not installed.
    """
    compute = document.settings.compute
    match compute.executor:
        case "serial":
            locate = RunDirectory(out).output_path
            return Serial(Workshop(target, document.settings, device=device, locate=locate))
        case "processes":
            opening = functools.partial(open_workshop, document, out.resolve(), device, target.model_sha256)
            return Processes(opening, workers=compute.workers or default_workers(device))
        case "ray":
            from auditor.engine.ray_cluster import RayCluster

            locate = RunDirectory(out.resolve()).output_path
            shipped = (target, document.settings)
            return RayCluster(open_shipped, shipped, locate=locate, device=device, workers=compute.workers)


def open_workshop(document: AuditDocument, out: Path, device: str, model_sha256: str, number: int) -> Workshop:
    """A worker's own workshop; on several GPUs, worker ``number`` takes the one of that number.

    Raises:
        AuditorError: where the files of the target have changed since the run began.
    """
    target = load_target(document)
    if target.model_sha256 != model_sha256:
        raise AuditorError(
            f"{target.model_name} was changed while the audit ran.", remedy="Run again; finished units are kept."
        )
    own = f"cuda:{number % torch.cuda.device_count()}" if device == "cuda" else device
    return Workshop(target, document.settings, device=own, locate=RunDirectory(out).output_path)


def open_shipped(shipped: tuple[Target, AuditSettings], device: str, locate: Locate) -> Workshop:
    """A worker's workshop on another node, from what came through the object store."""
    target, settings = shipped
    return Workshop(target, settings, device=device, locate=locate)
