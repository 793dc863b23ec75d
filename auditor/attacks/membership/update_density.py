"""Membership by what is left of a client's update after all that a density model of typical updates explains."""

from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.membership.traces import Trace, about, alignments, asked_clients, over_rounds
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import TargetShape
from auditor.observations.released import Observation, Rounds
from auditor.observations.returned import MembershipScores

LEAST_UPDATES = 3
"""Updates of other clients from which a density is fitted."""
SMALLEST_VARIANCE = 1e-12


class UpdateDensity:
    """A Gaussian of low rank for the updates of the other clients; what it does not explain speaks of the record.

    Experimental: named by catalogues ("generative models of typical gradients"), with no published attack behind it.
    An update is seen through its cosines with the gradients of all candidates. Over the updates of the other clients
    in all rounds, each round centred, these vectors are fitted by probabilistic principal components (Tipping and
    Bishop, 1999): directions that clients share, and noise of one variance. The score is the residual of the client's
    cosine with one candidate given its cosines with all others, in standard deviations of the model, averaged over
    rounds. With no components it is the comparison of membership/fedmia with one variance for all records.
    """

    name: ClassVar[str] = "membership/update-density"
    title: ClassVar[str] = "Membership by a density of typical updates (experimental)"
    paper: ClassVar[str] = "own construction on Tipping and Bishop, 1999, and Zhu et al., 2025, arXiv:2402.06289"
    needs: ClassVar[Needs] = Needs(frozenset({Grant.CLIENT_UPDATE, Grant.ALL_ROUNDS}))
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (Rounds,)
    attack_class: ClassVar[str] = "membership"
    experimental: ClassVar[bool] = True

    class Params(AttackParams):
        """How rich the density is."""

        components: Annotated[int, Field(ge=0)] = Field(
            16, description="Directions that typical updates share; more explain more, and at last the record itself."
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """Other clients whose updates are typical."""
        if shape.aggregated_clients > 3:
            return []
        return [f"needs 4 clients in a round; the federation has {shape.aggregated_clients}"]

    def cost(self, shape: TargetShape) -> Cost:
        """A gradient of each candidate in each round."""
        return Cost(gradient_evaluations=shape.members + shape.nonmembers)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> MembershipScores:
        """Mean over rounds of the standardised residual, ``(candidates,)``.

        Raises:
            AttackFailed: where too few updates of other clients were seen.
        """
        assert isinstance(seen, Rounds)
        clients = asked_clients(seen)
        trace = alignments(seen, known.model, context)
        scores = torch.full((len(clients),), torch.nan, dtype=torch.float64)
        asked = clients.unique().tolist()  # type: ignore[no-untyped-call]
        for done, client in enumerate(asked):
            if done and context.out_of_time:
                context.shortened.append(f"{done} of {len(asked)} clients were asked about before the deadline")
                break
            mine = clients == client
            scores[mine] = self._about(trace, client)[mine]
        if bool(scores.isnan().all()):
            raise AttackFailed(f"no client that is asked about was seen with {LEAST_UPDATES} updates of others")
        # No evidence either way where time ran out before a client took part.
        scores = torch.where(scores.isnan(), scores.nanmean(), scores)
        note = f"{about(clients, len(trace.values))}; {self.params.components} shared directions; experimental"
        return MembershipScores(scores, notes=(note,))

    def _about(self, trace: Trace, client: int) -> Tensor:
        own, others = centred(trace, client)
        if len(others) < LEAST_UPDATES or not len(own):
            return torch.full((others.shape[1],), torch.nan, dtype=torch.float64)
        return over_rounds(fitted(others, components=self.params.components).residuals(own))


def centred(trace: Trace, client: int) -> tuple[Tensor, Tensor]:
    """The client's figures and all those of the others, both minus the mean of the others in the same round.

    Returns:
        ``(rounds of the client, candidates)`` and ``(updates of others, candidates)``.
    """
    place = trace.senders.index(client)
    there = ~trace.values[:, :, 0].isnan()
    alone = torch.arange(len(trace.senders)) != place
    own, others = [], []
    for figures, present in zip(trace.values, there, strict=True):
        rest = figures[present & alone]
        if len(rest) < 2:
            continue
        mean = rest.mean(dim=0)
        others.append(rest - mean)
        if present[place]:
            own.append((figures[place] - mean).unsqueeze(0))
    empty = trace.values.new_zeros(0, trace.values.shape[2])
    return torch.cat(own or [empty]), torch.cat(others or [empty])


class Density(NamedTuple):
    """A Gaussian with mean zero and covariance ``shared^T diag(strengths) shared + noise I``.

    Attributes:
        shared: Orthonormal directions, ``(components, candidates)``.
        strengths: Variance along each beyond the noise.
        noise: Variance of everything else.
    """

    shared: Tensor
    strengths: Tensor
    noise: float

    def residuals(self, rows: Tensor) -> Tensor:
        """Each value minus its mean given all others of its row, in standard deviations; shape as ``rows``.

        With precision ``L`` the conditional mean of coordinate i is off by ``(L x)_i / L_ii`` and its variance is
        ``1 / L_ii``, so the residual is ``(L x)_i / sqrt(L_ii)``.
        """
        shrink = self.strengths / (self.strengths + self.noise)
        pull = (rows @ self.shared.T * shrink) @ self.shared
        diagonal = 1 - (self.shared.square() * shrink[:, None]).sum(dim=0)
        return (rows - pull) / (self.noise * diagonal.clamp_min(1e-9)).sqrt()


def principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Variances in falling order, and their directions as rows: ``(k,)`` and ``(k, coordinates)``.

    By the smaller of the two matrices of products, which takes a small part of the time of singular values of the rows.
    """
    updates, coordinates = rows.shape
    if updates > coordinates:
        energies, found = torch.linalg.eigh(rows.T @ rows)
        return energies.flip(0).clamp_min(0) / updates, found.T.flip(0)
    energies, left = torch.linalg.eigh(rows @ rows.T)
    lengths = energies.clamp_min(SMALLEST_VARIANCE).sqrt()
    return energies.flip(0).clamp_min(0) / updates, ((left.T @ rows) / lengths[:, None]).flip(0)


def fitted(rows: Tensor, *, components: int) -> Density:
    """Probabilistic principal components by their closed form (Tipping and Bishop, 1999, section 3.2).

    Args:
        rows: Centred, ``(updates, coordinates)``.
        components: At most so many; a third of the rank at most.
    """
    updates, coordinates = rows.shape
    kept = min(components, min(updates, coordinates) // 3)
    variances, directions = principal(rows)
    noise = max(float(variances[kept:].sum()) / max(1, coordinates - kept), SMALLEST_VARIANCE)
    return Density(directions[:kept], (variances[:kept] - noise).clamp_min(0), noise)
