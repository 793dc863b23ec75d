"""A network that reads records off updates, trained on updates that the adversary makes itself."""

from dataclasses import replace
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.as_sent import as_sent, visible
from auditor.attacks.inversion.autoencoder import content_key
from auditor.attacks.inversion.evidence import Update, as_update, box, mean_gradient
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import State
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_FEWEST = 32
_RATE = 1e-3
_BATCH = 32
_COMPARED = 256
_KEPT: dict[str, "_Learner"] = {}


class _Examples(NamedTuple):
    """Simulated updates: features ``(n, size)`` before the defence is played, and records ``(n, batch, inputs)``."""

    gradients: Tensor
    records: Tensor


class LearnedInversion:
    """Multi-layer perceptron from an update's coordinates to its records.

    Wu et al., 2023, arXiv:2210.10880 (Learning to Invert): the adversary computes updates of other records at the
    very state that the client received, plays the federation's own compression, clipping and noise on them, and
    learns the way back; several records of a batch are matched to outputs by assignment, for a batch has no order.
    Large updates are brought to fewer coordinates by feature hashing, as there. Beyond the paper: noise and
    quantisation are drawn anew in every step, and a tenth of the records is kept back to stop in time. What the
    network says to updates of records kept back from it, shuffled, is handed over as a guess without attack.
    """

    name: ClassVar[str] = "inversion/learned-inversion"
    title: ClassVar[str] = "Records read off an update by a trained network"
    paper: ClassVar[str] = "Wu et al., 2023, arXiv:2210.10880"
    needs: ClassVar[Needs] = Needs(
        frozenset({Grant.POPULATION_DATA}),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE, Grant.PARTIAL_UPDATE}),
        modalities=frozenset({Modality.IMAGE, Modality.TABULAR, Modality.TIMESERIES}),
        tasks=frozenset({Task.CLASSIFICATION, Task.REGRESSION}),
        traits={"continuous_input": "the input is not continuous"},
    )
    revision: ClassVar[int] = 1
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults for a minute on a CPU."""

        features: Annotated[int, Field(ge=16)] = Field(4096, description="Coordinates after hashing, at most.")
        hidden: Annotated[int, Field(ge=8)] = Field(1000, description="Width of two hidden layers.")
        updates: Annotated[int, Field(ge=32)] = Field(2000, description="Simulated updates to learn from, at most.")
        steps: Annotated[int, Field(ge=1)] = Field(2000, description="Training steps of 32 updates.")
        records: Annotated[int, Field(ge=1)] = Field(8, description="Larger batches are not tried.")
        inputs: Annotated[int, Field(ge=1)] = Field(12_288, description="Records with more values are not tried.")

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        size, reasons = int(torch.tensor(shape.input_shape).prod()), []
        if size > self.params.inputs:
            reasons.append(f"is for records of at most {self.params.inputs} values; these have {size}")
        if shape.population < _FEWEST:
            reasons.append(f"needs at least {_FEWEST} other records to learn from; there are {shape.population}")
        if shape.records_per_update > self.params.records:
            reasons.append(f"tries at most {self.params.records} records; here are {shape.records_per_update}")
        return reasons

    def cost(self, shape: TargetShape) -> Cost:
        return Cost(gradient_evaluations=self.params.updates)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many records as stand behind ``seen``.

        Raises:
            AttackFailed: where too few other records are held.
        """
        update = as_update(seen)
        if known.population is None or len(known.population) < max(_FEWEST, 2 * update.records):
            raise AttackFailed(f"at least {_FEWEST} other records are needed to learn from")
        if update.records > self.params.records:
            raise AttackFailed(f"{update.records} records stand behind the update; {self.params.records} are tried")
        learner = _learner(update, known, self.params, context)
        inputs = learner.read(learner.raw(update))[0]
        return Reconstruction(
            inputs,
            confidence=torch.full((update.records,), 1.0 / (1.0 + learner.left)),
            objective=learner.left,
            iterations=learner.steps,
            notes=(
                f"Learned from {len(learner.examples.records)} updates of other records; it leaves {learner.left:.0%} "
                "of the variance of records kept back.",
            ),
            prior_samples=learner.samples,
        )


def _learner(update: Update, known: Knowledge, params: "LearnedInversion.Params", context: RunContext) -> "_Learner":
    """A trained learner; updates that were made alike share the last one. Randomness follows from what decides it."""
    assert known.population is not None
    shown = [value for _, value in sorted((getattr(update, "shown", None) or {}).items())]
    public = (update.records, update.kind, update.local, update.privatisation, params, sorted(update.update))
    state = [value for _, value in sorted(update.before.items())]
    key = content_key(*state, known.population.inputs, known.population.labels, *shown, *public)
    if key not in _KEPT:
        learner = _Learner(update, known, params, replace(context, seed=int(key[:12], 16)))
        learner.left = learner.learn()
        learner.samples = learner.without_update()
        if context.shortened:
            return learner
        _KEPT.clear()
        _KEPT[key] = learner
    return _KEPT[key]


class _Learner:
    """Makes examples, trains, reads.

    Attributes:
        left: Share of the variance of records kept back that stays after training.
        samples: See :meth:`without_update`.
    """

    left: float = 1.0
    samples: Tensor | None = None

    def __init__(
        self, update: Update, known: Knowledge, params: "LearnedInversion.Params", context: RunContext
    ) -> None:
        assert known.population is not None
        self._update, self._known, self._params, self._context = update, known, params, context
        self._generator = context.generator()
        self._names = tuple(name for name in mean_gradient(update))
        self.examples = self._made(known.population)
        size = self.examples.gradients.shape[1]
        self._shown = visible(update, self._names)
        self._buckets = self._hashing(size)
        flat = self.examples.records.flatten(0, 1)
        self._mean, self._scale = flat.mean(0), flat.std(0) + 0.1 * flat.std() + 1e-6
        compared = self._features(self.examples.gradients[:_COMPARED])
        self._centre, spread = compared.mean(0), compared.std(0)
        self._spread = spread + 0.1 * spread.mean() + 1e-12
        self.steps = 0
        self._network = self._built()

    def _made(self, population: Records) -> _Examples:
        """Mean gradients of random batches of other records at the state that the client received."""
        n, each = len(population), self._update.records
        count = min(self._params.updates, max(n, 4 * n // each) if each > 1 else n)
        picked = [torch.randperm(n, generator=self._generator)[:each] for _ in range(count)]
        if each == 1:
            picked = list(torch.randperm(n, generator=self._generator)[:count, None])
        model = FunctionalModel(
            self._known.model, device=self._context.device, batch_norm=self._update.local.batch_norm
        )
        state: State = {name: value.to(self._context.device) for name, value in self._update.before.items()}
        rows = []
        for i, index in enumerate(picked):
            if self._context.out_of_time and i >= _FEWEST:
                self._context.shortened.append(f"{i} of {count} updates were made before the deadline")
                break
            rows.append(self._one(model, state, population[index].to(self._context.device)))
        records = torch.stack([population.inputs[index].flatten(1).cpu().float() for index in picked[: len(rows)]])
        return _Examples(torch.stack(rows), records)

    def _one(self, model: FunctionalModel, state: State, records: Records) -> Tensor:
        """Mean gradient of one batch, flat; records are clipped as the federation clips them."""
        known = self._update.privatisation
        if known.clipped != "record" or known.clipping_norm is None:
            made = model.gradient(state, records, training=True)
            return torch.cat([made[name].flatten() for name in self._names]).detach().cpu().float()
        each = model.per_record_gradients(state, records, training=True)
        norms = torch.stack([value.flatten(1).square().sum(1) for value in each.values()]).sum(0).sqrt()
        factor = (known.clipping_norm / norms.clamp_min(1e-12)).clamp_max(1.0)
        rows = torch.cat([each[name].flatten(1) for name in self._names], dim=1) * factor[:, None]
        return rows.mean(0).detach().cpu().float()

    def _hashing(self, size: int) -> tuple[Tensor, Tensor] | None:
        """Bucket and sign of each coordinate (Weinberger et al., 2009); None where there are few enough."""
        if size <= self._params.features:
            return None
        buckets = torch.randint(self._params.features, (size,), generator=self._generator)
        return buckets, torch.randint(2, (size,), generator=self._generator) * 2.0 - 1.0

    def raw(self, update: Update) -> Tensor:
        """Features of an update that was seen, ``(1, size)``."""
        gradient = mean_gradient(update)
        return self._raw(torch.cat([gradient[name].flatten().cpu().float() for name in self._names])[None])

    def _raw(self, coordinates: Tensor) -> Tensor:
        if self._buckets is None:
            return coordinates
        buckets, signs = self._buckets
        made = coordinates.new_zeros(len(coordinates), self._params.features)
        return made.index_add(1, buckets, coordinates * signs)

    def _features(self, gradients: Tensor) -> Tensor:
        return self._raw(as_sent(gradients, self._update, self._shown, generator=self._generator))

    def _built(self) -> nn.Sequential:
        inputs, outputs = self._spread.numel(), self.examples.records[0].numel()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._context.seed)
            hidden = self._params.hidden
            return nn.Sequential(
                nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
            )

    def learn(self) -> float:
        """Train; the share of variance that is left of records kept back."""
        total = len(self.examples.records)
        held = max(4, total // 10)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=_RATE)
        best, least = _state(self._network), float("inf")
        for step in range(self._params.steps):
            if self._context.out_of_time:
                self._context.shortened.append(f"{step} of {self._params.steps} training steps fit before the deadline")
                break
            picked = held + torch.randint(total - held, (_BATCH,), generator=self._generator)
            loss = self._loss(self._features(self.examples.gradients[picked]), self.examples.records[picked])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            self.steps = step + 1
            if (step + 1) % max(1, self._params.steps // 20) == 0:
                with torch.no_grad():
                    features = self._features(self.examples.gradients[:held])
                    error = float(self._loss(features, self.examples.records[:held]))
                if error < least:
                    best, least = _state(self._network), error
        self._network.load_state_dict(best)
        blind = ((self.examples.records - self._mean) / self._scale).square().mean()
        return least / max(float(blind), 1e-12)

    def _loss(self, features: Tensor, records: Tensor) -> Tensor:
        """Mean squared error of standardised values; outputs are assigned to a batch's records one to one."""
        made = self._network((features - self._centre) / self._spread).reshape(records.shape)
        wanted = (records - self._mean) / self._scale
        if records.shape[1] > 1:
            wanted = torch.stack([self._ordered(one, goal) for one, goal in zip(made.detach(), wanted, strict=True)])
        result: Tensor = (made - wanted).square().mean()
        return result

    @staticmethod
    def _ordered(made: Tensor, wanted: Tensor) -> Tensor:
        _, columns = linear_sum_assignment(torch.cdist(made, wanted).square().numpy())
        return wanted[torch.from_numpy(columns)]

    def read(self, features: Tensor) -> Tensor:
        """Records ``(n, batch, *input_shape)`` in the valid box."""
        with torch.no_grad():
            flat: Tensor = self._network((features - self._centre) / self._spread).reshape(
                len(features), self._update.records, -1
            )
        shape = self._known.model.shape.input_shape
        made: Tensor = (flat * self._scale + self._mean).reshape(*flat.shape[:2], *shape)
        low, high = box(self._known.model)
        if low is None or high is None:
            return made
        return torch.maximum(torch.minimum(made, high), low)

    def without_update(self) -> Tensor:
        """What the network says to updates of other records: plausible, and nothing about the observed one."""
        return self.read(self._features(self.examples.gradients[:_COMPARED])).flatten(0, 1)[:_COMPARED]


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
