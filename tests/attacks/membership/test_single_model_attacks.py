"""Attacks on one model without reference models: figures on D30, equivalences, and nothing found on a null target."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from auditor.attacks.base import Attack, Knowledge, RunContext
from auditor.attacks.membership.checkpoint_series import CheckpointSeries
from auditor.attacks.membership.gradient_norm import GradientNorm
from auditor.attacks.membership.label_only import LabelOnly
from auditor.attacks.membership.loss_threshold import LossThreshold
from auditor.attacks.membership.output_rule import OutputRule, modified_entropy
from auditor.attacks.membership.population_threshold import PopulationThreshold
from auditor.attacks.membership.quantile_regression import QuantileRegression
from auditor.attacks.membership.reference_quantile import ReferenceQuantile
from auditor.attacks.membership.rmia import area
from auditor.core.errors import AttackFailed
from auditor.core.shape import Task
from auditor.learning.functional import FunctionalModel
from auditor.metrics.membership import measure_membership
from auditor.metrics.roc import RocSample, tpr_at_fpr
from auditor.observations.records import Records
from auditor.observations.released import Checkpoints, LabelOracle, Queries, Weights
from auditor.observations.returned import MembershipScores
from tests.membership_cases import Models, Pool, digits, losses, shared_model, train

TARGETS = range(0, 16, 2)
CONTEXT = RunContext()
RULES = ("modified_entropy", "entropy", "confidence")


def scores(attack: Attack, pool: Pool, target: int) -> tuple[torch.Tensor, torch.Tensor]:
    seen, known, truth = pool.game(target, 16)
    seen = replace(seen, inputs=pool.split.candidates.inputs)
    output = attack.run(seen, known, CONTEXT)
    assert isinstance(output, MembershipScores)
    return output.scores, truth


def mean_area(attack: Attack, pool: Pool) -> float:
    return float(np.mean([area(*scores(attack, pool, target)) for target in TARGETS]))


@pytest.mark.parametrize(
    ("attack", "least"),
    [
        (OutputRule(OutputRule.Params()), 0.600),
        (PopulationThreshold(PopulationThreshold.Params()), 0.600),
        (QuantileRegression(QuantileRegression.Params(least_population=300)), 0.600),
        (ReferenceQuantile(ReferenceQuantile.Params()), 0.722),
        *((OutputRule(OutputRule.Params(rule=rule)), 0.5) for rule in RULES[1:]),
    ],
)
def test_planted_leak_is_found(noisy_pool: Pool, attack: Attack, least: float) -> None:
    assert mean_area(attack, noisy_pool) >= least


def test_modified_entropy_of_two_classes_is_closed_form() -> None:
    p = torch.tensor([0.9, 0.3], dtype=torch.float64)
    logs = torch.stack([p, 1 - p], dim=1).log()
    expected = -(1 - p) * p.log() - (1 - p) * p.log()
    torch.testing.assert_close(modified_entropy(logs, torch.tensor([0, 0])), expected)


def test_output_rules_bear_certainty() -> None:
    outputs = torch.tensor([[2000.0, 0.0, 0.0], [0.0, 2000.0, 0.0]])
    seen = Queries(outputs, torch.zeros(2), torch.tensor([0, 0]))
    for rule in RULES:
        found = OutputRule(OutputRule.Params(rule=rule)).run(seen, Knowledge(shared_model()), CONTEXT)
        assert found.scores.isfinite().all()


def test_one_threshold_for_all_classes_ranks_as_the_loss(noisy_pool: Pool) -> None:
    """A prior that outweighs every class turns Attack-P into the margin alone."""
    whole = PopulationThreshold(PopulationThreshold.Params(prior_records=1e12))
    plain = LossThreshold(LossThreshold.Params())
    for target in TARGETS:
        found, truth = scores(whole, noisy_pool, target)
        assert area(found, truth) == pytest.approx(area(*scores(plain, noisy_pool, target)), abs=1e-6)


def test_quantile_regression_finds_nothing_on_a_null_target(noisy_pool: Pool) -> None:
    """The peers' leak: quantiles fitted on the scored non-members. Here a target that saw neither half stays null."""
    split = noisy_pool.split
    attack = QuantileRegression(QuantileRegression.Params(least_population=300))
    rows = torch.randperm(397, generator=torch.Generator().manual_seed(0))
    stranger = train(split.population, rows[:250].unsqueeze(0))
    left = split.population[rows[250:]]
    outputs, answers = stranger.outputs(split.candidates.inputs)[0], stranger.outputs(left.inputs)
    labels = split.candidates.labels
    seen = Queries(outputs, losses(outputs.unsqueeze(0), labels)[0], labels, split.candidates.inputs)
    known = Knowledge(
        shared_model(),
        population=left,
        population_outputs=answers[0],
        population_losses=losses(answers, left.labels)[0],
    )
    found = attack.run(seen, known, CONTEXT)
    hits = rare = 0
    for truth in noisy_pool.included[:20]:
        point = tpr_at_fpr(RocSample.of(found.scores[truth].numpy(), found.scores[~truth].numpy()), 0.01)
        rare += point.low <= 0.01 <= point.high
        measured = {m.key: m for m in measure_membership(found, truth, fprs=(0.1,)).measurements}
        interval = measured["tpr_at_fpr[fpr=0.1]"].interval
        assert interval is not None
        hits += interval.low <= 0.1 <= interval.high
    assert hits >= 19
    assert rare >= 19


def test_quantile_regression_says_how_much_population_it_needs() -> None:
    assert "397" in QuantileRegression(QuantileRegression.Params()).unmet(shared_model().shape)[0]


@pytest.mark.parametrize("missing", ["inputs", "answers"])
def test_missing_knowledge_is_said(noisy_pool: Pool, missing: str) -> None:
    seen, known, _ = noisy_pool.game(0, 4)
    if missing == "answers":
        seen = replace(seen, inputs=noisy_pool.split.candidates.inputs)
        known = replace(known, population_outputs=None)
    with pytest.raises(AttackFailed, match="missing"):
        QuantileRegression(QuantileRegression.Params()).run(seen, known, CONTEXT)


class Series:
    """Eight targets on random halves, kept at several epochs."""

    def __init__(self) -> None:
        self.records = digits(label_noise=0.3).candidates
        order = torch.rand(8, 1400, generator=torch.Generator().manual_seed(0)).argsort(1)
        rows = order[:, :700]
        self.included = torch.zeros(8, 1400, dtype=torch.bool).scatter_(1, rows, True)
        # One seed, so that the shorter trainings are prefixes of the longest.
        self.models = {epochs: train(self.records, rows, epochs=epochs) for epochs in (10, 30, 60)}

    def state(self, epochs: int, i: int) -> dict[str, torch.Tensor]:
        models: Models = self.models[epochs]
        return {
            "0.weight": models.w1[i].T,
            "0.bias": models.b1[i, 0],
            "2.weight": models.w2[i].T,
            "2.bias": models.b2[i, 0],
        }

    def final(self, i: int) -> torch.Tensor:
        return self.models[60].outputs(self.records.inputs)[i]


@pytest.fixture(scope="module")
def series() -> Series:
    return Series()


def test_checkpoints_beat_the_last_one_on_seven_of_eight_targets(series: Series) -> None:
    attack = CheckpointSeries(CheckpointSeries.Params())
    better = 0
    for i in range(8):
        seen = Checkpoints(tuple(series.state(epochs, i) for epochs in series.models), series.records)
        found = attack.run(seen, Knowledge(shared_model()), CONTEXT).scores
        loss = losses(series.final(i).unsqueeze(0), series.records.labels)[0]
        better += area(found, series.included[i]) >= area(-loss, series.included[i])
    assert better >= 7


def test_one_checkpoint_is_not_a_series(series: Series) -> None:
    with pytest.raises(AttackFailed, match="needs two checkpoints"):
        CheckpointSeries(CheckpointSeries.Params()).run(
            Checkpoints((series.state(60, 0),), series.records), Knowledge(shared_model()), CONTEXT
        )


@pytest.mark.parametrize(("norm", "order"), [("l1", 1.0), ("l2", 2.0), ("max", torch.inf)])
def test_gradient_norms_equal_the_plain_ones(series: Series, norm: str, order: float) -> None:
    few = series.records[:4]
    found = GradientNorm(GradientNorm.Params(norm=norm)).run(
        Weights(series.state(60, 0), few), Knowledge(shared_model()), CONTEXT
    )
    model = FunctionalModel(shared_model())
    for i in range(4):
        gradient = model.gradient(series.state(60, 0), few[i : i + 1])
        flat = torch.cat([part.flatten() for part in gradient.values()])
        assert -found.scores[i] == pytest.approx(float(torch.linalg.vector_norm(flat, ord=order)), rel=1e-4)


def test_gradient_norm_finds_the_planted_leak(series: Series) -> None:
    attack = GradientNorm(GradientNorm.Params())
    found = attack.run(Weights(series.state(60, 0), series.records), Knowledge(shared_model()), CONTEXT)
    assert area(found.scores, series.included[0]) > 0.57
    with pytest.raises(AttackFailed, match="no candidate records"):
        attack.run(Weights(series.state(60, 0)), Knowledge(shared_model()), CONTEXT)


def test_label_only_beats_the_gap_attack(series: Series) -> None:
    attack = LabelOnly(LabelOnly.Params())
    graded, gap = [], []
    for i in range(8):
        models = Models(*(p[i : i + 1] for p in series.models[60].parameters()))
        asked = []

        def ask(inputs: torch.Tensor, models: Models = models, asked: list[int] = asked) -> torch.Tensor:
            asked.append(len(inputs))
            return models.outputs(inputs)[0].argmax(dim=-1)

        found = attack.run(LabelOracle(ask, series.records), Knowledge(shared_model()), CONTEXT)
        graded.append(area(found.scores, series.included[i]))
        gap.append(area((series.final(i).argmax(-1) == series.records.labels).double(), series.included[i]))
        assert sum(asked) == attack.cost(shared_model().shape).queries * len(series.records)
        assert found.notes == ("101 queries a record",)
    assert np.mean(graded) >= np.mean(gap)


def test_regressions_have_no_classes() -> None:
    seen = Queries(torch.zeros(3, 1), torch.zeros(3), torch.zeros(3))
    with pytest.raises(AttackFailed, match="no score for each class"):
        OutputRule(OutputRule.Params()).run(seen, Knowledge(shared_model(task=Task.REGRESSION)), CONTEXT)


def test_regression_targets_are_compared_with_all_population() -> None:
    generator = torch.Generator().manual_seed(0)
    mine, theirs = torch.rand(50, generator=generator), torch.rand(200, generator=generator)
    known = Knowledge(
        shared_model(task=Task.REGRESSION),
        population=Records(torch.zeros(200, 64), torch.zeros(200)),
        population_outputs=torch.zeros(200, 1),
        population_losses=theirs,
    )
    found = PopulationThreshold(PopulationThreshold.Params()).run(
        Queries(torch.zeros(50, 1), mine, torch.zeros(50)), known, CONTEXT
    )
    assert torch.equal(found.scores.argsort(), (-mine).argsort())
