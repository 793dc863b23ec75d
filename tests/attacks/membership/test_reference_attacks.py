"""Loss threshold, LiRA and RMIA: the figures of the research on D30, and the traps of the peers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from auditor.attacks.base import Attack, Knowledge, ReferenceModels, RunContext
from auditor.attacks.membership.lira import Lira
from auditor.attacks.membership.loss_threshold import LossThreshold
from auditor.attacks.membership.references import as_target, moments
from auditor.attacks.membership.rmia import Rmia, area, early_rate, offline_mean
from auditor.attacks.membership.statistics import likelihood, margin, signal, true_class
from auditor.core.errors import AttackFailed
from auditor.core.shape import Task
from auditor.metrics.roc import RocSample, area_under_curve, tpr_at_fpr
from auditor.observations.released import Queries
from tests.membership_cases import Pool, losses, shared_model

TARGETS = range(0, 16, 2)


def figures(attack: Attack, pool: Pool, references: int) -> dict[str, float]:
    """Mean AUC and TPR at 1 % over eight targets."""
    areas, rates = [], []
    for target in TARGETS:
        seen, known, truth = pool.game(target, references)
        scores = attack.run(seen, known, RunContext()).scores
        sample = RocSample.of(scores[truth].numpy(), scores[~truth].numpy())
        areas.append(area_under_curve(sample).value)
        rates.append(tpr_at_fpr(sample, 0.01).tpr)
    assert min(areas) > 0.5
    return {"auc": float(np.mean(areas)), "tpr": float(np.mean(rates))}


def lira(**params: Any) -> Lira:
    return Lira(Lira.Params(**params))


def rmia(**params: Any) -> Rmia:
    return Rmia(Rmia.Params(**params))


def test_loss_threshold_reaches_the_research(noisy_pool: Pool) -> None:
    assert figures(LossThreshold(LossThreshold.Params()), noisy_pool, 4)["auc"] >= 0.600


@pytest.mark.parametrize(
    ("params", "references", "auc", "tpr"),
    [
        ({"mode": "online", "variance": "pooled"}, 16, 0.766, 0.16),
        ({"mode": "offline", "variance": "pooled"}, 16, 0.722, 0.16),
        ({"mode": "online", "variance": "shrunk"}, 16, 0.764, 0.16),
        ({"mode": "online", "variance": "pooled"}, 62, 0.778, 0.16),
        ({"mode": "online", "variance": "shrunk"}, 62, 0.778, 0.16),
        ({"mode": "online", "variance": "per_record"}, 16, 0.745, 0.05),
    ],
)
def test_lira_reaches_the_research(
    noisy_pool: Pool, params: dict[str, str], references: int, auc: float, tpr: float
) -> None:
    found = figures(lira(**params), noisy_pool, references)
    assert found["auc"] >= auc
    assert found["tpr"] >= tpr


def test_shrunk_variance_beats_the_per_record_one_at_few_models(noisy_pool: Pool) -> None:
    shrunk, own = (figures(lira(variance=v), noisy_pool, 4) for v in ("shrunk", "per_record"))
    assert shrunk["auc"] > own["auc"] + 0.05
    assert shrunk["tpr"] > own["tpr"] + 0.05


@pytest.mark.parametrize(
    ("params", "references", "auc"),
    [
        ({"mode": "online", "temperature": 1.0}, 16, 0.762),
        ({"mode": "offline"}, 16, 0.74),
        ({"mode": "online"}, 4, 0.74),
    ],
)
def test_rmia_reaches_the_research(noisy_pool: Pool, params: dict[str, Any], references: int, auc: float) -> None:
    assert figures(rmia(**params), noisy_pool, references)["auc"] >= auc


def test_learned_constants_beat_the_papers_fixed_ones(noisy_pool: Pool) -> None:
    learned, fixed = figures(rmia(), noisy_pool, 16), figures(rmia(offset=0.3, temperature=1.0), noisy_pool, 16)
    assert learned["auc"] > fixed["auc"] + 0.03


def test_constants_are_learned_without_the_target(noisy_pool: Pool) -> None:
    """Whatever the target answers, the constants are the same: nothing audited tunes the attack."""
    seen, known, _ = noisy_pool.game(0, 16)
    other = Queries(torch.zeros_like(seen.outputs), torch.zeros_like(seen.losses), seen.labels)
    assert rmia().run(seen, known, RunContext()).notes == rmia().run(other, known, RunContext()).notes


def test_ratio_ranks_as_the_counts_of_the_paper(noisy_pool: Pool) -> None:
    """RMIA's count over population records is a step function of the ratio: same AUC but for ties."""
    differences = []
    for target in TARGETS:
        seen, known, truth = noisy_pool.game(target, 16)
        ratio = rmia(offset=0.3, temperature=1.0).run(seen, known, RunContext()).scores
        assert known.population is not None
        assert known.references is not None
        assert known.population_outputs is not None
        labels = known.population.labels
        own = true_class(known.population_outputs, labels)
        others = true_class(known.references.population_outputs, labels)
        included = known.references.population_included
        against = own - offline_mean(others, included, offset=0.3)
        counts = (ratio[:, None] >= against[None, :]).double().mean(dim=1)
        differences.append(area(ratio, truth) - area(counts, truth))
        assert len(counts.unique()) < len(ratio.unique())
    assert abs(np.mean(differences)) < 0.002


def test_complement_of_a_rehearsed_target_is_left_out(noisy_pool: Pool) -> None:
    for index, allowed in as_target(noisy_pool.included[:8]):
        assert index not in allowed
        assert index ^ 1 not in allowed
        assert len(allowed) == 6


def test_an_overfitted_target_leaks_and_an_unrelated_one_does_not(noisy_pool: Pool) -> None:
    """Negative control: a target trained on neither half cannot tell them apart."""
    areas = []
    for target in range(20):
        seen, known, truth = noisy_pool.game(target, 16)
        stranger = (target + 2) % 20
        scores = (
            lira()
            .run(
                Queries(noisy_pool.outputs[stranger], losses(noisy_pool.outputs[stranger], seen.labels), seen.labels),
                replace(known, references=_without(known, noisy_pool, stranger)),
                RunContext(),
            )
            .scores
        )
        areas.append(area(scores, truth))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.02)


def _without(known: Knowledge, pool: Pool, stranger: int) -> ReferenceModels:
    references = known.references
    assert references is not None
    mine = pool.included[stranger]
    agreement = (references.included == mine).double().mean(dim=1)
    keep = (agreement > 0.1) & (agreement < 0.9)
    return replace(
        references,
        **{
            name: getattr(references, name)[keep]
            for name in (
                "outputs",
                "losses",
                "included",
                "population_outputs",
                "population_losses",
                "population_included",
            )
        },
    )


def test_probabilities_and_logits_give_the_same_scores(noisy_pool: Pool) -> None:
    """A model that ends in a softmax must not be weaker to attack than one that does not."""
    seen, known, _ = noisy_pool.game(0, 8)
    assert known.references is not None
    as_probabilities = replace(seen, outputs=seen.outputs.softmax(-1))
    references = replace(known.references, outputs=known.references.outputs.softmax(-1))
    for attack in (lira(variance="pooled"), rmia(offset=1.0, temperature=1.0)):
        plain = attack.run(seen, known, RunContext()).scores
        soft = attack.run(as_probabilities, replace(known, references=references), RunContext()).scores
        assert np.corrcoef(plain.argsort().argsort(), soft.argsort().argsort())[0, 1] > 0.999


def test_margin_does_not_saturate() -> None:
    """In float32 both probabilities round to 1; the margins still differ."""
    outputs = torch.tensor([[60.0, 0.0, 0.0], [90.0, 0.0, 0.0]])
    found = margin(outputs, torch.tensor([0, 0]))
    assert found[1] - found[0] == pytest.approx(30.0)
    assert outputs.softmax(-1)[:, 0].tolist() == [1.0, 1.0]


def test_margin_is_the_log_odds() -> None:
    outputs = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    p = outputs.double().softmax(-1).gather(-1, labels.expand(5, 7).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(margin(outputs, labels), (p / (1 - p)).log())


@pytest.mark.parametrize("outputs", [torch.tensor([2.0, -3.0]), torch.tensor([[2.0], [-3.0]])])
def test_one_logit_is_a_two_class_model(outputs: torch.Tensor) -> None:
    found = signal(outputs, torch.zeros(2), torch.tensor([1, 1]), task=Task.CLASSIFICATION)
    assert found.tolist() == pytest.approx([2.0, -3.0])
    flipped = signal(outputs, torch.zeros(2), torch.tensor([0, 0]), task=Task.CLASSIFICATION)
    assert flipped.tolist() == pytest.approx([-2.0, 3.0])


def test_other_tasks_are_attacked_through_their_loss() -> None:
    value = likelihood(
        torch.zeros(3, 1), torch.tensor([1.0, 2.0, 4.0]), torch.zeros(3, 1), task=Task.REGRESSION, temperature=2.0
    )
    assert value.tolist() == [-0.5, -1.0, -2.0]


def test_regression_targets_run_through_all_attacks() -> None:
    generator = torch.Generator().manual_seed(0)
    included = torch.rand(16, 400, generator=generator) < 0.5
    truth = torch.rand(400, generator=generator) < 0.5
    hardness = torch.rand(400, generator=generator)

    def loss_of(member: torch.Tensor) -> torch.Tensor:
        return (hardness + 0.3 * (~member) + 0.05 * torch.randn(member.shape, generator=generator)).abs()

    none = torch.zeros(16, 0)
    references = ReferenceModels(
        torch.zeros(16, 400, 1), loss_of(included), included, torch.zeros(16, 0, 1), none, none.bool()
    )
    seen = Queries(torch.zeros(400, 1), loss_of(truth), torch.zeros(400))
    known = Knowledge(shared_model(task=Task.REGRESSION), references=references)
    for attack in (lira(), lira(mode="offline"), rmia(), rmia(mode="online")):
        assert area(attack.run(seen, known, RunContext()).scores, truth) > 0.9


@pytest.mark.parametrize(("attack", "have"), [(lira(), 3), (rmia(), 0)])
def test_too_few_references_are_said(noisy_pool: Pool, attack: Attack, have: int) -> None:
    seen, known, _ = noisy_pool.game(0, have)
    with pytest.raises(AttackFailed, match=f"the run has {have}"):
        attack.run(seen, known, RunContext())


def test_a_diverged_reference_is_said(noisy_pool: Pool) -> None:
    seen, known, _ = noisy_pool.game(0, 6)
    assert known.references is not None
    broken = known.references.losses.clone()
    broken[2, 5] = torch.nan
    with pytest.raises(AttackFailed, match="1 of 6 reference models"):
        lira().run(seen, replace(known, references=replace(known.references, losses=broken)), RunContext())


def test_records_seen_by_all_or_no_models_still_get_a_finite_score(noisy_pool: Pool) -> None:
    seen, known, _ = noisy_pool.game(0, 8)
    assert known.references is not None
    included = known.references.included.clone()
    included[:, 0], included[:, 1] = True, False
    known = replace(known, references=replace(known.references, included=included))
    for attack in (lira(), lira(variance="per_record"), lira(mode="offline"), rmia(), rmia(mode="online")):
        assert attack.run(seen, known, RunContext()).scores.isfinite().all()


def test_moments_equal_numpy() -> None:
    values = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.rand(9, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    found = moments(values, mask)
    for column in range(4):
        kept = values[mask[:, column], column].numpy()
        assert found.mean[column] == pytest.approx(kept.mean())
        assert found.squares[column] == pytest.approx(((kept - kept.mean()) ** 2).sum())


def test_rehearsed_figures_equal_the_metrics() -> None:
    """Attacks may not import the metrics that judge them; their own figures must still be the same."""
    random = np.random.default_rng(0)
    for levels in (3, 1000):
        scores, truth = torch.tensor(random.integers(levels, size=900) * 1.0), torch.tensor(random.random(900) < 0.4)
        sample = RocSample.of(scores[truth].numpy(), scores[~truth].numpy())
        assert area(scores, truth) == pytest.approx(area_under_curve(sample).value)
        assert early_rate(scores, truth) == pytest.approx(tpr_at_fpr(sample, 0.01).tpr)
