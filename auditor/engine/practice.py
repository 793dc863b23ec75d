"""What the misdeclaration rules look at beyond the settings: the model, and what the simulation really did."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from auditor.accounting.evidence import ModelTraits, ObservedMechanism
from auditor.config.settings import FederationSettings
from auditor.learning.randomness import seeded
from auditor.observations.model import SharedModel
from auditor.simulation.meter import ObservedMechanism as Measured
from auditor.simulation.partition import partition
from auditor.targets.target import Target


def traits_of(model: SharedModel, *, batch_norm: str) -> ModelTraits:
    """Layers that mix the records of a batch, and buffers that are released without clipping or noise.

    Args:
        model: Says how to build the module.
        batch_norm: What clients do with normalisation layers: ``train``, ``eval`` or ``frozen``.
    """
    if batch_norm != "train":
        return ModelTraits()
    with seeded(0):
        module = model.build()
    mixing = [
        (name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]
    names = tuple(name or type(layer).__name__ for name, layer in mixing)
    buffers = tuple(f"{name}.running_mean" for name, layer in mixing if layer.track_running_stats)
    return ModelTraits(cross_example_layers=names, parameters_outside=buffers)


def silo_sizes(target: Target, federation: FederationSettings, *, seed: int) -> tuple[int, ...]:
    """Records at each client of the simulated federation, in ascending order; clients without records are left out.

    Args:
        target: Its members are dealt to the clients.
        federation: How they are dealt.
        seed: Of the training unit.
    """
    parts = partition(federation, target.members, groups=target.member_groups, seed=seed)
    return tuple(sorted(len(part) for part in parts if len(part)))


def measured_to_json(measured: Measured) -> dict[str, Any]:
    """What the training of the audited model measured, as the metadata of its unit."""
    return asdict(measured)


def observed_of(meta: Mapping[str, Any]) -> ObservedMechanism | None:
    """What the training unit measured; None where given weights were audited."""
    found = meta.get("mechanism")
    if not found or found["unit"] == "none":
        return None
    return ObservedMechanism(
        noise_std=found["noise_std"],
        noise_samples=found["noise_values"],
        largest_norm=found["clipped_norm"],
        sampler=found["sampler"],
    )
