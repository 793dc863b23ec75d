"""Attacks that loop look at the clock: they give less and say so, or fail in words; with time nothing changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch

from auditor.attacks import base, forests
from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.inference import property as property_attack
from auditor.attacks.inference.attribute import AttributeInference
from auditor.attacks.inference.model_stealing import ModelStealing
from auditor.attacks.inference.property import PropertyInference, ridge
from auditor.attacks.membership import gradient_norm, quantile_regression
from auditor.attacks.membership.checkpoint_series import CheckpointSeries
from auditor.attacks.membership.gradient_norm import GradientNorm
from auditor.attacks.membership.quantile_regression import QuantileRegression
from auditor.core.errors import AttackFailed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import LocalTraining, Privatisation
from auditor.observations.records import Records
from auditor.observations.released import Checkpoints, ClientUpdate, Queries, Weights
from tests.membership_cases import digits, shared_model

SPLIT = digits()
MODEL = FunctionalModel(shared_model())
STATE = MODEL.initial_state(0)
LOCAL = LocalTraining("fedsgd", 1, 20, "sgd", 0.1, 0.0, 0.0, 1, "train")


@dataclass(frozen=True)
class Ends(RunContext):
    """Time that ends after so many looks at it."""

    looks: list[int] = field(default_factory=list)

    @property
    def out_of_time(self) -> bool:
        self.looks[0] -= 1
        return self.looks[0] < 0


def past() -> RunContext:
    return RunContext(deadline=time.monotonic() - 1)


def far() -> RunContext:
    return RunContext(deadline=time.monotonic() + 1000)


def update() -> ClientUpdate:
    sent = MODEL.gradient(STATE, SPLIT.candidates[:20])
    return ClientUpdate(0, STATE, sent, "gradient", 20, LOCAL, Privatisation())


def queries() -> tuple[Queries, Knowledge]:
    asked, others = SPLIT.candidates, SPLIT.population
    with torch.no_grad():
        outputs, answers = MODEL.outputs(STATE, asked.inputs), MODEL.outputs(STATE, others.inputs)
    seen = Queries(outputs, MODEL.loss(outputs, asked.labels), asked.labels, inputs=asked.inputs)
    losses = MODEL.loss(answers, others.labels)
    return seen, Knowledge(shared_model(), population=others, population_outputs=answers, population_losses=losses)


class TestProperty:
    def run(self, context: RunContext, *, records: int = 1000) -> tuple[float, int]:
        attack = PropertyInference(PropertyInference.Params(records=records))
        found = attack.run(update(), Knowledge(shared_model(), population=SPLIT.population), context)
        return found.share, round(found.guess * 1000)

    def test_fewer_records_where_time_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The rule is the one learned on the first of the drawn records."""
        monkeypatch.setattr(property_attack, "CHUNK", 100 * shared_model().shape.parameters)
        context = Ends(looks=[2])
        assert self.run(context) == self.run(RunContext(), records=200)
        assert "200 of 397" in context.shortened[0]

    def test_too_few_records_are_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(property_attack, "CHUNK", 10 * shared_model().shape.parameters)
        with pytest.raises(AttackFailed, match="gradients of 20 of 397"):
            self.run(Ends(looks=[2]))

    def test_time_that_suffices_changes_nothing(self) -> None:
        assert self.run(far()) == self.run(RunContext())

    def test_no_more_records_are_used_and_declared_than_asked_for(self) -> None:
        attack = PropertyInference(PropertyInference.Params(records=100))
        shape = shared_model().shape.model_copy(update={"population": 40_000})
        assert attack.cost(shape).record_gradients == 100
        whole = PropertyInference(PropertyInference.Params()).cost(shape)
        assert whole.record_gradients == 1000
        assert whole.bytes < 2**29

    def test_ridge_some_columns_at_a_time_is_ridge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        generator = torch.Generator().manual_seed(0)
        rows, targets = (torch.randn(40, n, generator=generator, dtype=torch.float64) for n in (30, 1))
        wanted = (rows[:, :1] + targets)[1:, 0]
        whole = ridge(rows[1:], wanted, rows[:1])
        monkeypatch.setattr(property_attack, "CHUNK", 200)
        assert ridge(rows[1:], wanted, rows[:1]) == pytest.approx(whole, abs=1e-9)


class TestQuantileRegression:
    def run(self, context: RunContext, *, most: int | None = None) -> torch.Tensor:
        params = QuantileRegression.Params(least_population=300, most_population=most)
        return QuantileRegression(params).run(*queries(), context).scores

    def test_time_that_suffices_changes_nothing(self) -> None:
        assert torch.equal(self.run(far()), self.run(RunContext()))

    def test_few_trees_of_both_forests_where_time_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each look at the clock takes a second, and a look comes with each group of trees."""
        clock = iter(range(1000))
        for module in (base, forests):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
        context = RunContext(deadline=10.0)
        assert self.run(context).isfinite().all()
        assert context.shortened == ["50 of 100 trees grew before the deadline"] * 2

    def test_no_time_is_a_failure(self) -> None:
        with pytest.raises(AttackFailed, match="time ended"):
            self.run(past())

    def test_of_a_large_population_some_are_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        used: list[int] = []
        regress: Callable[..., object] = quantile_regression._regress
        monkeypatch.setattr(
            quantile_regression, "_regress", lambda *a, **k: (used.append(len(a[0])), regress(*a, **k))[1]
        )
        assert not torch.equal(self.run(RunContext(), most=200), self.run(RunContext()))
        assert used == [200, len(SPLIT.population)]

    def test_the_declared_time_grows_with_the_records_that_are_used(self) -> None:
        attack = QuantileRegression(QuantileRegression.Params())
        sizes = (1_000, 10_000, 40_000)
        small, large, larger = (
            attack.cost(shared_model().shape.model_copy(update={"population": n})).seconds for n in sizes
        )
        assert 5 * small < large == larger


def test_gradient_norms_of_some_candidates_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_norm, "MEMORY", 500 * shared_model().shape.parameters)
    attack = GradientNorm(GradientNorm.Params())
    seen = Weights(STATE, SPLIT.candidates)
    known = Knowledge(shared_model())
    assert torch.equal(attack.run(seen, known, far()).scores, attack.run(seen, known, RunContext()).scores)
    with pytest.raises(AttackFailed, match="500 of 1400 candidates"):
        attack.run(seen, known, past())


class TestModelStealing:
    attack = ModelStealing(ModelStealing.Params(steps=30))

    def test_a_copy_of_no_steps_is_none(self) -> None:
        with pytest.raises(AttackFailed, match="0 of 30 steps"):
            self.attack.run(*queries(), past())

    def test_copy_and_baseline_take_as_many_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each look at the clock takes a second: 10 for the copy, 10 for its baseline."""
        clock = iter(range(1000))
        monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
        context = RunContext(deadline=22.0)
        assert self.attack.run(*queries(), context).scores.isfinite().all()
        copy, baseline = (int(word) for word in context.shortened[0].split() if word.isdigit() and word != "30")
        assert copy >= baseline >= 9

    def test_time_that_suffices_changes_nothing(self) -> None:
        found = [self.attack.run(*queries(), context).scores for context in (far(), RunContext())]
        assert torch.equal(*found)


def test_the_checkpoints_nearest_to_the_last_are_asked_first() -> None:
    states = tuple(MODEL.initial_state(seed) for seed in range(4))
    attack, known = CheckpointSeries(CheckpointSeries.Params()), Knowledge(shared_model())
    context = past()
    cut = attack.run(Checkpoints(states, SPLIT.candidates), known, context).scores
    assert torch.equal(cut, attack.run(Checkpoints(states[2:], SPLIT.candidates), known, RunContext()).scores)
    assert "2 of 4 checkpoints" in context.shortened[0]


def test_the_attribute_attack_declares_its_forests() -> None:
    shape = shared_model().shape.model_copy(update={"population": 40_000})
    attack = AttributeInference(AttributeInference.Params())
    assert attack.cost(shape).seconds == pytest.approx(2 * 2e-6 * 40_000 * 64)


def test_records_are_cut_from_the_front() -> None:
    """What the property attack relies on."""
    assert torch.equal(
        Records(SPLIT.population.inputs, SPLIT.population.labels)[:5].labels, SPLIT.population.labels[:5]
    )
