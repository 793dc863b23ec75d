"""The mechanism alone, played with canaries: the sharpest game that a declared mechanism can be put to.

Every canary has a direction of its own, so that none covers another, and is ten clipping norms long, so that
clipping has work to do. What a unit contributes is declared to be bounded by the norm; whatever more is released
was not declared. Gradient canaries: Nasr et al., 2023, arXiv:2302.07956, section 4 (here for any unit of protection).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from auditor.config.settings import (
    FederationSettings,
    LocalSettings,
    PartitionSettings,
    PrivacySettings,
    UpdateSettings,
)
from auditor.core.seeds import derive_seed
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.simulation.clients import Work
from auditor.simulation.play import Play

LENGTH = 10.0
"""Length of a canary in clipping norms: a contribution that is not clipped shows tenfold."""
WEIGHT = "weight"
_MEDIAN = 0.6745
"""Median absolute value of a standard Gaussian."""
_NO_NOISE = 1e3
"""Where most values are exactly zero there is no noise; what is not zero then stands out by so much."""

PrivateStep = Callable[[Tensor, int], Tensor]
"""(contributions of all units, shape ``(units, values)``; number of the step) -> what the step releases, ``(values,)``.

It samples, clips, sums and adds noise as the deployed code does; a sum and a mean are told apart by nobody."""


@dataclass(frozen=True)
class Setup:
    """Sizes of one game, in the proportions of the declared federation.

    Attributes:
        federation: What is played. Local optimiser, compression and partition are left out: they come after clipping
            and noise, or before both, and bear on no unit's bound.
        privacy: As declared.
        units: Records (or clients) that can hold a canary.
        canaries: How many do; each has a coordinate of its own.
        opposite: A canary that is out shows with the opposite sign, where neighbouring data sets replace a unit;
            otherwise it shows nothing.
        steps: Of a user's own code.
        steps_apart: Each release is of one step, as with a user's own code or FedSGD.
    """

    federation: FederationSettings
    privacy: PrivacySettings
    units: int
    canaries: int
    opposite: bool
    steps: int
    steps_apart: bool = False

    @property
    def calibrated(self) -> bool:
        """Are scores log-odds? They are where sampling makes participation a matter of chance."""
        return _steps_and_rate(self)[1] < 1

    @property
    def norm(self) -> float:
        """The declared bound on one contribution."""
        return self.privacy.clipping.norm if self.privacy.clipping else 1.0


@dataclass(frozen=True)
class Played:
    """One game: a score for each canary, higher where it more likely was in, and the coins."""

    scores: Tensor
    included: Tensor


def setup_of(
    federation: FederationSettings,
    privacy: PrivacySettings,
    *,
    records: int,
    canaries: int,
    opposite: bool,
    steps: int,
    own_code: bool = False,
) -> Setup:
    """The sizes of a game with about as many canaries as asked for.

    Numbers are scaled together, so that rates and steps stay. Where that is not possible in whole numbers, rates are
    rounded down, which can only lower what the game shows.

    Args:
        records: Training records of the declared federation; under record-level DP-SGD, clients times the records of
            the client that is played.
        canaries: For one game.
        opposite: See :class:`Setup`.
        steps: Accounted steps.
        own_code: A user's own step will be played.
    """
    plain = federation.model_copy(
        update={"local": _plain(federation.local), "partition": PartitionSettings(), "update": UpdateSettings()}
    )
    plain = plain.model_copy(update={"algorithm": "fedsgd" if federation.algorithm == "fedsgd" else "fedavg"})
    sized = _silo(plain, records, canaries) if privacy.mechanism == "dp_sgd" else _clients(plain, canaries)
    apart = own_code or plain.algorithm == "fedsgd"
    return Setup(sized.federation, privacy, sized.units, min(sized.units, canaries), opposite, steps, apart)


@dataclass(frozen=True)
class _Sized:
    federation: FederationSettings
    units: int


def _plain(local: LocalSettings) -> LocalSettings:
    return local.model_copy(update={"optimizer": "sgd", "learning_rate": 1.0, "momentum": 0.0, "proximal": 0.0})


def _silo(federation: FederationSettings, records: int, canaries: int) -> _Sized:
    """One client: silos hold different people, so each is a mechanism of its own."""
    held, size = max(1, records // federation.clients), federation.local.batch_size
    batches = math.ceil(held / size)
    if held < canaries:
        scale = math.ceil(canaries / held)
        units, batch = scale * held, scale * min(size, held)
    else:
        batch = max(1, round(canaries / batches))
        units = batch * batches
    who = federation.participation
    rate = who.rate if who.scheme == "poisson" else (who.count or federation.clients) / federation.clients
    participation = {"scheme": "full"} if who.scheme == "full" else {"scheme": "poisson", "rate": rate}
    changed = {
        "clients": 1,
        "participation": who.model_validate(participation),
        "local": federation.local.model_copy(update={"batch_size": batch}),
        "aggregation": federation.aggregation.model_validate({"rule": "mean"}),
    }
    return _Sized(federation.model_copy(update=changed), units)


def _clients(federation: FederationSettings, canaries: int) -> _Sized:
    """A client for each canary."""
    who, secure = federation.participation, federation.aggregation.secure
    units = canaries
    if federation.clients < canaries:
        units = federation.clients * math.ceil(canaries / federation.clients)
    elif who.count:
        units = max(canaries, math.ceil(federation.clients / who.count))

    def scaled(count: int | None) -> int | None:
        return None if count is None else max(1, count * units // federation.clients)

    aggregation = federation.aggregation.model_copy(
        update={"secure": secure.model_copy(update={"threshold": scaled(secure.threshold)})}
    )
    changed = {
        "clients": units,
        "participation": who.model_copy(update={"count": scaled(who.count)}),
        "aggregation": aggregation,
    }
    return _Sized(federation.model_copy(update=changed), units)


def play(setup: Setup, *, seed: int, device: str = "cpu") -> Played:
    """One game on the mechanism as this tool simulates it.

    Raises:
        SimulationError: where settings contradict each other.
    """
    coins = _coins(setup, seed)
    if setup.privacy.mechanism == "dp_sgd":
        return Played(_silo_scores(setup, _rows(setup, coins), seed=seed, device=device), coins)
    return Played(_client_scores(setup, _signs(setup, coins), seed=seed, device=device), coins)


def play_code(setup: Setup, step: PrivateStep, *, seed: int) -> Played:
    """One game on a user's own private step.

    Raises:
        ValueError: where the step returns something else than one finite value for each column.
    """
    coins = _coins(setup, seed)
    rows = _rows(setup, coins)
    if not setup.opposite:
        rows = rows[rows.abs().sum(dim=1) > 0]
    evidence = evidence_of(setup)
    total = torch.zeros(setup.canaries, dtype=torch.float64)
    for number in range(setup.steps):
        released = torch.as_tensor(step(rows.clone(), number)).detach().cpu().double()
        if released.shape != (setup.canaries,) or not bool(released.isfinite().all()):
            shape = tuple(released.shape)
            raise ValueError(f"step {number} released shape {shape} or infinite values; expected ({setup.canaries},)")
        total += evidence(released)
    return Played(total, coins)


def evidence_of(setup: Setup) -> Callable[[Tensor], Tensor]:
    """The log-likelihood ratio of "in" against "out" for one release, if the mechanism is the declared one.

    In a release of K steps a unit took part k times, k binomial with the sampling rate. Any function of the release
    gives a valid audit; this one is the sharpest. The scale of a release is not known (a sum, or a mean): the median
    absolute value, which few participants do not move, is taken as that of the declared noise.
    """
    steps, rate = _steps_and_rate(setup)
    variance = steps * max(setup.privacy.noise_multiplier or 0.0, 1e-3) ** 2
    times = torch.arange(steps + 1, dtype=torch.float64)
    if rate >= 1:
        return lambda released: released
    chances = torch.from_numpy(stats.binom.logpmf(np.arange(steps + 1), steps, rate))
    constant = chances - times.square() / (2 * variance)

    def one_side(x: Tensor) -> Tensor:
        return torch.logsumexp(constant + x[:, None] * times / variance, dim=1)

    def evidence(released: Tensor) -> Tensor:
        spread = float(released.abs().median()) / _MEDIAN or float(released.abs().max()) / _NO_NOISE or 1.0
        x = released / spread * math.sqrt(variance)
        return one_side(x) - one_side(-x) if setup.opposite else one_side(x)

    return evidence


def _steps_and_rate(setup: Setup) -> tuple[int, float]:
    """Steps behind one release, and the chance of a unit to be in each of them; 1 where it is in all alike."""
    federation, who = setup.federation, setup.federation.participation
    if setup.privacy.mechanism == "dp_sgd":
        if setup.privacy.sampling not in ("poisson", "fixed_size"):
            return 1, 1.0
        rate = min(1.0, federation.local.batch_size / setup.units)
        batches = math.ceil(setup.units / federation.local.batch_size)
        return (1 if setup.steps_apart else federation.local.epochs * batches), rate
    if who.scheme == "full":
        return 1, 1.0
    return 1, who.rate or (who.count or federation.clients) / federation.clients


def _coins(setup: Setup, seed: int) -> Tensor:
    return torch.rand(setup.canaries, generator=torch.Generator().manual_seed(derive_seed(seed, "coins"))) < 0.5


def _signs(setup: Setup, coins: Tensor) -> Tensor:
    """What each unit shows along its own direction, ``(units,)``; units without a canary show nothing."""
    shown = torch.zeros(setup.units)
    shown[: setup.canaries] = torch.where(coins, 1.0, -1.0 if setup.opposite else 0.0)
    return shown


def _rows(setup: Setup, coins: Tensor) -> Tensor:
    """The contributions, ``(units, canaries)``."""
    rows = torch.zeros(setup.units, setup.canaries)
    places = torch.arange(setup.canaries)
    rows[places, places] = LENGTH * setup.norm * _signs(setup, coins)[: setup.canaries]
    return rows


def _silo_scores(setup: Setup, rows: Tensor, *, seed: int, device: str) -> Tensor:
    """A linear loss has the record itself as its gradient; a round moves the weights by what its steps released."""
    functional = FunctionalModel(linear(setup.canaries), device=device)
    records = Records(rows, torch.zeros(len(rows), dtype=torch.int64))
    game = Play.prepared(setup.federation, setup.privacy, functional, records, groups=None, seed=seed)
    state = game.start({WEIGHT: torch.zeros(1, setup.canaries)})
    evidence, total = evidence_of(setup), torch.zeros(setup.canaries, dtype=torch.float64)
    for number in range(setup.federation.rounds):
        cohort, before = game.cohort(number), state[WEIGHT]
        state, _ = game.finish(state, cohort, game.work(state, cohort))
        if cohort.tasks:
            total += evidence((before - state[WEIGHT])[0].detach().cpu().double())
    return total


def _client_scores(setup: Setup, signs: Tensor, *, seed: int, device: str) -> Tensor:
    """Each client sends its canary; the score is read off the client's own update where that is what is noised."""
    functional = FunctionalModel(linear(setup.canaries), device=device)
    records = Records(torch.zeros(setup.units, setup.canaries), torch.zeros(setup.units, dtype=torch.int64))
    game = Play.prepared(setup.federation, setup.privacy, functional, records, groups=None, seed=seed)
    state = {WEIGHT: torch.zeros(1, setup.canaries, device=functional.device)}
    evidence, total = evidence_of(setup), torch.zeros(setup.canaries, dtype=torch.float64)
    for number in range(setup.federation.rounds):
        cohort, norm = game.cohort(number), game.server.norm or setup.norm
        units = [int(game.parts[task.client][0]) for task in cohort.tasks]
        works = [_work(float(signs[unit]), unit, state[WEIGHT], length=LENGTH * setup.norm) for unit in units]
        pairs = zip(cohort.tasks, works, strict=True)
        sent = [game.clients.send(task, work, norm=game.server.norm) for task, work in pairs]
        if cohort.aborted:
            continue
        if setup.privacy.mechanism == "local":
            for unit, one in zip(units, sent, strict=True):
                if unit < setup.canaries:
                    total[unit] += float(one.update[WEIGHT][0, unit]) / norm
            continue
        combined = game.server.combine(sent, game.clients.sent_names, state, round=number)
        game.server.adapt(sent, round=number)
        if combined is not None:
            total += evidence(combined.update[WEIGHT][0].cpu().double() / norm)
    return total


def _work(sign: float, unit: int, like: Tensor, *, length: float) -> Work:
    update = torch.zeros_like(like)
    if unit < like.shape[1]:
        update[0, unit] = sign * length
    return Work({WEIGHT: update}, {}, like.new_zeros(1))


def linear(values: int) -> SharedModel:
    """A model whose gradient for a record is the record itself."""
    shape = TargetShape(
        modality=Modality.TABULAR,
        task=Task.REGRESSION,
        classes=1,
        input_shape=(values,),
        parameters=values,
        traits=frozenset(),
        members=0,
        nonmembers=0,
        population=0,
        records_per_client=0,
        records_per_update=0,
        local_steps=1,
        aggregated_clients=0,
    )
    return SharedModel(lambda: nn.Linear(values, 1, bias=False), _linear_loss, shape)


def _linear_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.reshape(len(labels))
