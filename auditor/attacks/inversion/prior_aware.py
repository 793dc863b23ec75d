"""Which of several candidate records stands behind a noisy update: the reconstruction test for DP mechanisms."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import Update, as_update, mean_gradient, step_weight
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_CHUNK = 32


class PriorAware:
    """The most likely of the candidates, given the noise.

    Hayes et al., 2023, arXiv:2302.07225, algorithm 2: the adversary knows a finite prior, computes the clipped
    gradient of each candidate, and takes the one with the largest inner product with what it observes (less half
    the squared length where lengths differ, which makes it the maximum likelihood choice). Unlike pixel inversion it
    stays informative at the noise of real DP-SGD, where its success is bounded by the privacy parameters. The bound
    is for one record behind the update, or for others that the adversary knows; with unknown others the attack is
    weaker than the bound allows.
    """

    name: ClassVar[str] = "inversion/prior-aware"
    title: ClassVar[str] = "Which of several candidate records was used"
    paper: ClassVar[str] = "Hayes et al., 2023, arXiv:2302.07225, algorithm 2"
    needs: ClassVar[Needs] = Needs(frozenset(), one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}))
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """The size of the prior is that of the game, not of the attack."""

        candidates: Annotated[int, Field(ge=2)] = Field(10, description="Records in the prior; a blind guess hits 1/n.")

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def prior_records(self) -> int:
        """As many as the parameters say."""
        return self.params.candidates

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=self.params.candidates)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """One row: the candidate chosen, with its posterior probability under a uniform prior.

        Raises:
            AttackFailed: where no candidates are known.
        """
        update = as_update(seen)
        if known.candidates is None or len(known.candidates) < 2:
            raise AttackFailed("no candidate records were given, so there is no prior to choose from")
        likelihood = log_likelihoods(update, known, device=context.device)
        chosen = int(likelihood.argmax())
        labels = known.candidates.labels[chosen : chosen + 1].cpu()
        return Reconstruction(
            known.candidates.inputs[chosen : chosen + 1].cpu(),
            labels=labels,
            confidence=likelihood.softmax(0)[chosen : chosen + 1].float(),
            iterations=1,
            notes=(f"Chosen among {len(likelihood)} candidates; a blind guess is right once in {len(likelihood)}.",),
        )


def log_likelihoods(update: Update, known: Knowledge, *, device: str) -> Tensor:
    """Log-likelihood of the update under each candidate, up to a common constant. ``(candidates,)``, float64."""
    assert known.candidates is not None
    model = FunctionalModel(known.model, device=device, batch_norm=update.local.batch_norm)
    state = {name: value.detach().to(device) for name, value in update.before.items()}
    each = model.per_record_gradients(state, known.candidates.to(device), chunk=_CHUNK, training=True)
    total = {name: value.to(device) * update.records for name, value in mean_gradient(update).items() if name in each}
    squares = sum((each[name].flatten(1).double().square().sum(1) for name in total), torch.zeros((), device=device))
    inner = sum(
        (each[name].flatten(1).double() @ value.flatten().double() for name, value in total.items()),
        torch.zeros((), device=device),
    )
    factor = _clipping(squares.sqrt(), update.privatisation.clipping_norm)
    scale = 1.0 if update.kind == "gradient" else step_weight(update.local)
    noise = update.privatisation.noise_std * update.records / scale
    score = (factor * inner - factor.square() * squares / 2).cpu()
    return score / max(noise**2, 1e-12 * float(squares.max().clamp_min(1e-30)))


def _clipping(norms: Tensor, limit: float | None) -> Tensor:
    """Factor that clipping multiplies each gradient with."""
    if limit is None:
        return torch.ones_like(norms)
    return (limit / norms.clamp_min(1e-12)).clamp_max(1.0)
