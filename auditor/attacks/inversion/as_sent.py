"""What an update would look like by the time it is seen: clipping, pruning, quantisation and noise played again.

An adversary who trains on updates of its own makes them go through what the federation publicly does to them
(expectation over the defence), so that what it learns holds for what it will see.
"""

import torch
from torch import Tensor

from auditor.attacks.inversion.evidence import Update, step_weight
from auditor.observations.released import ClientUpdate


def as_sent(gradients: Tensor, seen: Update, shown: Tensor | None, *, generator: torch.Generator) -> Tensor:
    """Mean gradients ``(n, coordinates)`` as ``seen`` would show them.

    Args:
        gradients: One row for each simulated update.
        seen: The observed update; its public privatisation is played.
        shown: Ones where a coordinate is seen, ``(coordinates,)``; None = everywhere.
        generator: For the noise, on the CPU.
    """
    known = seen.privatisation
    made = gradients
    if known.clipping_norm is not None and known.clipped == "client":
        # The bound holds for what was sent, a difference or a gradient.
        limit = known.clipping_norm / (1.0 if seen.kind == "gradient" else step_weight(seen.local))
        made = made * (limit / made.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1.0)
    if known.noise_std:
        scale = 1.0 if seen.kind == "gradient" else step_weight(seen.local)
        noise = torch.randn(made.shape, generator=generator).to(made)
        made = made + noise * (known.noise_std / scale)
    if known.kept_fraction < 1:
        kept = max(1, round(known.kept_fraction * made.shape[1]))
        least = made.abs().kthvalue(made.shape[1] - kept + 1, dim=1, keepdim=True).values
        made = torch.where(made.abs() >= least, made, 0.0)
    if known.quantise_bits == 1:
        made = made.sign() * made.abs().mean(1, keepdim=True)
    elif known.quantise_bits:
        step = made.abs().amax(1, keepdim=True).clamp_min(1e-30) / (2 ** (known.quantise_bits - 1) - 1)
        made = (made / step).round() * step
    return made if shown is None else made * shown


def visible(seen: Update, names: tuple[str, ...]) -> Tensor | None:
    """Ones where a coordinate of the named tensors is seen, flat; None = everywhere."""
    if not isinstance(seen, ClientUpdate) or seen.shown is None:
        return None
    return torch.cat([seen.shown[name].flatten().float() for name in names])
