"""How many of a client's records share a property, read off its update."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import Column, SharedModel
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate, Observation
from auditor.observations.returned import InferredShare

MEMORY = 2**26
"""Gradient values of single population records that are kept."""

CHUNK = 2**22
"""Of these, values that are computed at once, with one look at the clock; and values in double precision."""

LEAST = 50
"""Population records below which a rule learned from them, for want of time, would say nothing."""

EXACT_SECONDS = 2e-10
"""Of the eigenvalues of a matrix, for each cube of its side: measured, one core."""

PRODUCT_SECONDS = 4.5e-11
"""Of a product of matrices in double precision, for each multiplication: measured, one core."""

PENALTIES = tuple(10.0**power for power in range(-6, 3))


class Property(NamedTuple):
    """A yes-or-no question about a record.

    Attributes:
        column: Of a table; None = the label.
        value: The category (or class) that is asked about.
    """

    column: Column | None
    value: int

    def holds(self, records: Records) -> Tensor:
        """Bool, shape ``(records,)``."""
        if self.column is None:
            return records.labels.cpu() == self.value
        inputs = records.inputs.detach().cpu().flatten(1)
        return inputs[:, self.column.start : self.column.stop].argmax(dim=1) == self.value


class PropertyInference:
    """Learn from the gradients of known records how a property shows; a mean gradient then shows its share.

    Melis et al., 2019, arXiv:1805.04049, section 6 (passive property inference). Where they learn a classifier of
    simulated updates, this uses that an update is a mean over records: a linear rule for "this record has it", learned
    on population records at the client's own starting point, reads the share of an update. The penalty is chosen
    by leaving one record out, and grows with the declared noise. Several local steps count as one longer one.
    """

    name: ClassVar[str] = "inference/property"
    title: ClassVar[str] = "Share of a client's records with a property"
    paper: ClassVar[str] = "Melis et al., 2019, arXiv:1805.04049, section 6"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.CLIENT_UPDATE, Grant.POPULATION_DATA}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        tasks=frozenset({Task.CLASSIFICATION}),
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate,)
    attack_class: ClassVar[str] = "property"

    class Params(AttackParams):
        """Which property."""

        column: str | None = Field(
            None, description="Categorical column; default: the one most evenly split, or the label without columns."
        )
        records: Annotated[int, Field(ge=16)] = Field(
            1000,
            description="Population records that the rule is learned on, at most; the time grows with their cube. On a "
            "census of 40,791, 2,000 were no better than 1,000 and took five times as long.",
        )

    def __init__(self, params: AttackParams) -> None:
        assert isinstance(params, self.Params)
        self.params = params

    def unmet(self, shape: TargetShape) -> list[str]:
        """A property needs records with it and without it; the population shows whether there are any."""
        return []

    def cost(self, shape: TargetShape) -> Cost:
        """One gradient of each population record that is used, and the ridge regression on them."""
        n = self._records(shape.population, shape.parameters)
        products = n * n * shape.parameters * PRODUCT_SECONDS
        held = 4 * n * shape.parameters + 8 * (4 * n * n + 3 * min(CHUNK, n * shape.parameters))
        return Cost(record_gradients=max(1, n), seconds=n**3 * EXACT_SECONDS + products, bytes=held)

    def _records(self, population: int, values: int) -> int:
        """How many population records are used: as many as are asked for and as their gradients fit."""
        return min(population, self.params.records, max(16, MEMORY // max(1, values)))

    def asked_property(self, columns: Sequence[Column], population: Records) -> Property:
        """What is asked: the commonest value of the named (or most evenly split) column, or the commonest label.

        Raises:
            AttackFailed: where the column is not a category of the table.
        """
        categories = {column.name: column for column in columns if column.kind == "categorical"}
        if self.params.column is not None and self.params.column not in categories:
            raise AttackFailed(f"'{self.params.column}' is not a categorical column of the table")
        if not categories:
            return Property(None, int(population.labels.mode().values))
        inputs = population.inputs.detach().cpu().flatten(1)
        shares = {name: inputs[:, c.start : c.stop].mean(dim=0) for name, c in categories.items()}
        name = self.params.column or min(shares, key=lambda name: float(shares[name].max()))
        return Property(categories[name], int(shares[name].argmax()))

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> InferredShare:
        """The share in the update, and the guess that needs no update: the share in the population."""
        assert isinstance(seen, ClientUpdate)
        if known.population is None:
            raise AttackFailed("population records are missing")
        asked = self.asked_property(known.model.preprocessing.columns, known.population)
        holds = asked.holds(known.population)
        if not 2 <= int(holds.sum()) <= len(holds) - 2:
            raise AttackFailed("too few population records with the property, or without it")
        some = torch.randperm(len(holds), generator=context.generator())
        some = some[: self._records(len(holds), sum(tensor.numel() for tensor in seen.update.values()))]
        gradients = _gradients(seen, known.model, known.population[some], context)
        holds = holds[some[: len(gradients)]]
        update = torch.cat([seen.update[name].flatten() for name in seen.update]).detach().cpu().double()
        reach = 1.0 if seen.kind == "gradient" else -seen.local.learning_rate * max(1, seen.local.steps)
        noise = len(holds) * seen.records * (seen.privatisation.noise_std / reach) ** 2
        found = ridge(gradients, holds.double(), (update / reach).unsqueeze(0), least=noise)
        return InferredShare(min(1.0, max(0.0, found)), float(holds.double().mean()))


def _gradients(seen: ClientUpdate, shared: SharedModel, records: Records, context: RunContext) -> Tensor:
    """Gradient of each record in the tensors that were sent, ``(records, values)``; of the first ones if time ends.

    Raises:
        AttackFailed: where time ends before there are enough.
    """
    model = FunctionalModel(shared, device=context.device, batch_norm="eval")
    state, values = model.complete(seen.before), sum(tensor.numel() for tensor in seen.update.values())
    rows, chunk = torch.empty(len(records), values), max(1, min(len(records), CHUNK // max(1, values)))
    for start in range(0, len(records), chunk):
        if context.out_of_time:
            if start < LEAST:
                raise AttackFailed(f"time ended after the gradients of {start} of {len(records)} population records")
            context.shortened.append(f"learned on {start} of {len(records)} population records before the deadline")
            return rows[:start]
        part = records[start : start + chunk].to(context.device)
        found = model.per_record_gradients(state, part)
        rows[start : start + len(part)] = torch.cat([found[name].flatten(1) for name in seen.update], dim=1).cpu()
        context.progress((start + len(part)) / len(records))
    return rows


def ridge(rows: Tensor, targets: Tensor, asked: Tensor, *, least: float = 0.0) -> float:
    """Ridge regression in the dual, penalty by exact leave-one-out error.

    Hoerl and Kennard, 1970; leave-one-out residuals as in Hastie, Tibshirani and Friedman, 2009, section 7.10.

    Args:
        rows: ``(n, features)``, of any precision; computed in double precision, some columns at a time.
        targets: ``(n,)``.
        asked: ``(1, features)``.
        least: Penalty that noise on ``asked`` alone calls for; added to the chosen one.
    """
    mean, n = targets.mean(), len(rows)
    wanted = targets - mean
    gram, across = rows.new_zeros(n, n, dtype=torch.float64), rows.new_zeros(1, n, dtype=torch.float64)
    width = max(1, CHUNK // n)
    for start in range(0, rows.shape[1], width):
        part = rows[:, start : start + width].double()
        centre = part.mean(dim=0)
        part = part - centre  # not in place: rows of double precision are the caller's
        gram.addmm_(part, part.T)
        across.addmm_(asked[:, start : start + width] - centre, part.T)
    values, vectors = torch.linalg.eigh(gram)
    values, turned = values.clamp_min(0), vectors.T @ wanted
    scale = float(values.mean()) or 1.0
    errors = []
    for penalty in PENALTIES:
        shrunk = 1 / (values + penalty * scale)
        residuals = (vectors @ (shrunk * turned)) / (vectors.square() * shrunk).sum(dim=1)
        errors.append(float(residuals.square().mean()))
    chosen = PENALTIES[errors.index(min(errors))] * scale + least
    weights = vectors @ (turned / (values + chosen))
    return float(mean + across @ weights)
