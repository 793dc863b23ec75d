"""The part of an update that an adversary sees who does not see the whole."""

import torch
from torch import Tensor

from auditor.config.scenario import PartSettings
from auditor.observations.model import Privatisation
from auditor.observations.released import ClientUpdate
from auditor.simulation.compression import largest, layers_of
from auditor.simulation.errors import SimulationError


def part_of(seen: ClientUpdate, part: PartSettings, *, seed: int) -> ClientUpdate:
    """The update with only the layers and coordinates that are seen.

    Args:
        seen: The whole update.
        part: Which part.
        seed: Of the coordinates drawn.

    Raises:
        SimulationError: for a layer that the update does not have.
    """
    update = {name: seen.update[name] for name in _names(tuple(seen.update), part)}
    if part.coordinates >= 1.0:
        return _with(seen, update, None, seen.privatisation)
    if part.which == "largest":
        kept = largest(update, part.coordinates)
        known = seen.privatisation
        public = Privatisation(
            known.clipping_norm,
            known.clipped,
            known.noise_std,
            min(known.kept_fraction, part.coordinates),
            known.quantise_bits,
        )
        return _with(seen, kept, None, public)
    generator = torch.Generator().manual_seed(seed)
    shown = {
        name: (torch.rand(value.shape, generator=generator) < part.coordinates).to(value.device)
        for name, value in update.items()
    }
    return _with(seen, {name: value * shown[name] for name, value in update.items()}, shown, seen.privatisation)


def _with(
    seen: ClientUpdate, update: dict[str, Tensor], shown: dict[str, Tensor] | None, public: Privatisation
) -> ClientUpdate:
    return ClientUpdate(
        round=seen.round,
        before=seen.before,
        update=update,
        kind=seen.kind,
        records=seen.records,
        local=seen.local,
        privatisation=public,
        labels=seen.labels,
        shown=shown,
    )


def _names(names: tuple[str, ...], part: PartSettings) -> tuple[str, ...]:
    layers = layers_of(names)
    match part.layer:
        case "all":
            return names
        case "first":
            return layers[next(iter(layers))]
        case "last":
            return layers[next(reversed(layers))]
        case layer if layer in layers:
            return layers[layer]
    raise SimulationError(
        f"The scenario shows the layer '{part.layer}', which is not in the update.",
        remedy=f"Layers are: {', '.join(layers)}; or first, last, all.",
    )
