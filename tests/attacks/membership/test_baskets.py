"""Shopping baskets in the place of Location-30: what the research's case L says of the attacks' order must hold here.

Location-30 could not be had. The case G is its stand-in: sparse binary records (5,921 distinct real baskets of 169
goods), 100 or 30 classes made by clustering as those of Purchase-100 were, the research's model and settings (MLP
inputs-128-classes, SGD with rate .05 and momentum .9, batches of 64, 60 epochs; 2,000 members, 2,000 non-members).
Every threshold below was written before the first figure was seen, from relations that the research measured on case L,
none from G: its table has AUC .810 for the loss, .885 for LiRA offline and .941 to .947 online; TPR at .1 % of 13.1 %
with each record's own variance and 23.6 % with a shrunk one (finding 4), 12.6 % with 4 references; quantile regression
as good as the loss (.79 against .796), with .24 % at .1 % where an honest fit and 6.24 % where a leaky one was scored.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from auditor.attacks.base import Attack, Knowledge, ReferenceModels, RunContext
from auditor.attacks.membership.lira import Lira
from auditor.attacks.membership.loss_threshold import LossThreshold
from auditor.attacks.membership.population_threshold import PopulationThreshold
from auditor.attacks.membership.quantile_regression import QuantileRegression
from auditor.attacks.membership.rmia import Rmia
from auditor.metrics.roc import RocSample, area_under_curve, tpr_at_fpr
from auditor.observations.records import Records
from auditor.observations.released import Queries
from auditor.observations.returned import MembershipScores
from tests.membership_cases import BASKETS, Pool, baskets, losses, pool, shared_model, train

pytestmark = pytest.mark.papers

TARGETS = range(0, 16, 2)
NO_LEAK_THROUGH = 0.012
"""TPR at .1 %: halfway, on a log scale, between the research's honest fit (.24 %) and its leaky one (6.24 %)."""

ATTACKS: dict[str, Attack] = {
    "loss": LossThreshold(LossThreshold.Params()),
    "population": PopulationThreshold(PopulationThreshold.Params()),
    "offline": Lira(Lira.Params(mode="offline", variance="pooled")),
    "pooled": Lira(Lira.Params(variance="pooled")),
    "per_record": Lira(Lira.Params(variance="per_record")),
    "shrunk": Lira(Lira.Params(variance="shrunk")),
    "rmia": Rmia(Rmia.Params()),
    "rmia_fixed": Rmia(Rmia.Params(offset=0.3, temperature=1.0)),
    "base": Rmia(Rmia.Params(mode="online", temperature=1.0)),
    "quantile": QuantileRegression(QuantileRegression.Params()),
}


class Figures(NamedTuple):
    """Over eight targets: AUC, TPR at .1 % and at 1 %, each ``(8,)``."""

    auc: np.ndarray
    rare: np.ndarray
    tpr: np.ndarray


def scored(attack: Attack, models: Pool, target: int, references: int) -> RocSample:
    seen, known, truth = models.game(target, references)
    found = attack.run(replace(seen, inputs=models.split.candidates.inputs), known, RunContext())
    assert isinstance(found, MembershipScores)
    return RocSample.of(found.scores[truth].numpy(), found.scores[~truth].numpy())


def figures(attack: Attack, models: Pool, references: int = 16) -> Figures:
    samples = [scored(attack, models, target, references) for target in TARGETS]
    return Figures(
        np.array([area_under_curve(sample).value for sample in samples]),
        np.array([tpr_at_fpr(sample, 0.001).tpr for sample in samples]),
        np.array([tpr_at_fpr(sample, 0.01).tpr for sample in samples]),
    )


@pytest.fixture(scope="module", params=[100, 30], ids=["100 classes", "30 classes"])
def models(request: pytest.FixtureRequest, shared_data: Path) -> Pool:
    """24 models on complementary halves."""
    return pool(baskets(shared_data, classes=request.param), pairs=12)


@pytest.fixture(scope="module")
def found(models: Pool) -> Callable[[str], Figures]:
    """Figures of an attack with 16 references, once for all tests."""
    known: dict[str, Figures] = {}

    def figures_of(name: str) -> Figures:
        if name not in known:
            known[name] = figures(ATTACKS[name], models)
        return known[name]

    return figures_of


def test_the_models_overfit_as_the_researchs_do(models: Pool) -> None:
    """Location-30: 1.00 on members and .68 on others."""
    right = models.outputs.argmax(-1) == models.split.candidates.labels
    inside, outside = right[models.included].double().mean(), right[~models.included].double().mean()
    assert inside > 0.99
    assert outside < 0.95


def test_areas_are_ordered_as_in_the_research(found: Callable[[str], Figures]) -> None:
    areas = {name: found(name).auc.mean() for name in ("loss", "offline", "pooled", "shrunk", "base")}
    assert 0.5 < areas["loss"] < areas["offline"] < areas["pooled"]
    assert areas["shrunk"] >= areas["pooled"] - 0.01
    assert areas["base"] > areas["loss"]


def test_constants_that_are_learned_are_no_worse(found: Callable[[str], Figures]) -> None:
    assert found("rmia").auc.mean() >= found("rmia_fixed").auc.mean() - 0.005


def test_a_shrunk_variance_is_at_least_as_good_where_false_positives_are_rare(found: Callable[[str], Figures]) -> None:
    """Finding 4: with 16 models a record's own variance is too uncertain."""
    assert found("shrunk").rare.mean() >= found("per_record").rare.mean()
    assert found("shrunk").rare.mean() >= found("offline").rare.mean()
    assert found("shrunk").rare.mean() > found("loss").rare.mean()


def test_more_references_make_it_better(models: Pool, found: Callable[[str], Figures]) -> None:
    """From 4 to 16 the research went from .927 to .947, and from 12.6 to 23.6 % at .1 %."""
    few = figures(ATTACKS["shrunk"], models, 4)
    assert few.auc.mean() < found("shrunk").auc.mean()
    assert few.rare.mean() < found("shrunk").rare.mean()


def test_quantile_regression_is_as_good_as_the_loss_and_not_leaky(found: Callable[[str], Figures]) -> None:
    quantile, loss = found("quantile"), found("loss")
    assert quantile.auc.mean() >= loss.auc.mean() - 0.02
    assert quantile.rare.mean() <= NO_LEAK_THROUGH


class Null(NamedTuple):
    """A model that saw no candidate: what it answers, and what an adversary knows."""

    seen: Queries
    known: Knowledge


@pytest.fixture(scope="module")
def null(models: Pool) -> Null:
    """Trained on 900 population records; the other 1,021 are the adversary's. References: the first 16 of the pool."""
    split = models.split
    mine, left = split.population[torch.arange(900)], split.population[torch.arange(900, len(split.population))]
    stranger = train(mine, torch.arange(900).unsqueeze(0), seed=1, classes=split.classes)
    candidates, labels = split.candidates, split.candidates.labels
    outputs, answers = stranger.outputs(candidates.inputs)[0], stranger.outputs(left.inputs)[0]
    references = ReferenceModels(
        outputs=models.outputs[:16],
        losses=losses(models.outputs[:16], labels),
        included=models.included[:16],
        population_outputs=models.population_outputs[:16, 900:],
        population_losses=losses(models.population_outputs[:16, 900:], left.labels),
        population_included=torch.zeros(16, len(left), dtype=torch.bool),
    )
    known = Knowledge(
        shared_model(inputs=split.width, classes=split.classes),
        population=left,
        population_outputs=answers,
        population_losses=_loss(answers, left.labels),
        references=references,
    )
    return Null(Queries(outputs, _loss(outputs, labels), labels, candidates.inputs), known)


def halves(count: int) -> Tensor:
    """Which candidates would be members, ``(count, candidates)``: nothing tells."""
    order = torch.rand(count, BASKETS, generator=torch.Generator().manual_seed(7)).argsort(dim=1)
    return order < BASKETS // 2


def _loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return losses(outputs.unsqueeze(0), labels)[0]


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_found_on_a_model_that_saw_no_candidate(null: Null, name: str) -> None:
    """Twenty random halves, drawn apart from all training: intervals contain the false-positive rate."""
    scores = ATTACKS[name].run(null.seen, null.known, RunContext()).scores  # type: ignore[union-attr]
    rare = usual = 0
    areas = []
    for truth in halves(20):
        sample = RocSample.of(scores[truth].numpy(), scores[~truth].numpy())
        points = tpr_at_fpr(sample, 0.001), tpr_at_fpr(sample, 0.01)
        rare += points[0].low <= 0.001 <= points[0].high
        usual += points[1].low <= 0.01 <= points[1].high
        areas.append(area_under_curve(sample).value)
    assert rare >= 19
    assert usual >= 19
    assert abs(np.mean(areas) - 0.5) < 0.01


def test_a_fit_on_the_scored_non_members_would_be_noticed(null: Null) -> None:
    """The peers' leak, made on purpose: on the same null target it "finds" members, which the honest fit does not.

    First written with AUC, which failed: a fit on the non-members narrows their scores around zero and leaves the area
    at one half. The research speaks of the rate at .1 %, and so does this, with the threshold stated above.
    """
    attack, labels = ATTACKS["quantile"], null.seen.labels
    honest, leaky = [], []
    for truth in halves(4):
        outside = ~truth
        assert null.seen.inputs is not None
        theirs = Records(null.seen.inputs[outside], labels[outside])
        cheating = replace(
            null.known,
            population=theirs,
            population_outputs=null.seen.outputs[outside],
            population_losses=null.seen.losses[outside],
        )
        for known, kept in ((null.known, honest), (cheating, leaky)):
            scores = attack.run(null.seen, known, RunContext()).scores  # type: ignore[union-attr]
            kept.append(tpr_at_fpr(RocSample.of(scores[truth].numpy(), scores[outside].numpy()), 0.001).tpr)
    assert np.mean(honest) <= NO_LEAK_THROUGH < np.mean(leaky)
