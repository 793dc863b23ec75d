"""The decoder that the settings name as a prior, tried with a few latents."""

import torch
from torch import Tensor, nn

from auditor.core.errors import TargetError
from auditor.learning.modes import to_evaluation
from auditor.learning.randomness import seeded
from auditor.observations.model import GivenPrior
from auditor.targets.code import said
from auditor.targets.deployed import model_sha256
from auditor.targets.loading import Loading

_SETTING = "target.prior.decoder"
_BATCHES = (2, 3)
"""Two sizes: a file that was exported for one batch size fails at the other."""


def given_prior(loading: Loading, input_shape: tuple[int, ...]) -> GivenPrior | None:
    """The prior of ``target.prior``, or None. Code is loaded as the model's is: same files, same checks.

    Args:
        loading: For settings, folder and places.
        input_shape: Of one record, as the model is fed with it.

    Raises:
        TargetError: The decoder cannot be loaded, or does not make records of this shape.
    """
    settings = loading.settings.target.prior
    if settings is None:
        return None
    factory = loading.factory(_SETTING, settings.decoder)
    with seeded(0):
        module = factory()
    for size in _BATCHES:
        _check(module, torch.randn(size, settings.latent, generator=torch.Generator().manual_seed(size)), input_shape,
               where=factory.where, name=settings.decoder)  # fmt: skip
    return GivenPrior(factory, settings.latent, settings.decoder, model_sha256(factory))


def _check(module: nn.Module, latents: Tensor, input_shape: tuple[int, ...], *, where: str, name: str) -> None:
    wanted = (len(latents), *input_shape)
    to_evaluation(module)
    made: object
    try:
        with torch.no_grad(), seeded(0):
            made = module(latents)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise TargetError(
            f"{where}: {name} does not accept latents of shape {tuple(latents.shape)}: {said(error)}",
            remedy="Let target.prior.latent be the size of a latent, and the first axis have any length.",
        ) from None
    if not isinstance(made, Tensor) or tuple(made.shape) != wanted:
        got = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise TargetError(
            f"{where}: {name} makes {got} from latents of shape {tuple(latents.shape)}; records of this shape are "
            f"needed: {wanted}.",
            remedy="Let the decoder return records as the model is fed with them, after target.data.normalise.",
        )
    if not bool(made.isfinite().all()):
        raise TargetError(f"{where}: {name} makes values that are not numbers from standard normal latents.")
