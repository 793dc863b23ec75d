"""Stealing the model: the copy agrees where a model learned without queries does not; nothing comes from nothing."""

import pytest
import torch

from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.inference.model_stealing import ModelStealing, two_columns
from auditor.core.errors import AttackFailed
from auditor.metrics.choices import measure_agreement
from auditor.metrics.membership import measure_membership
from auditor.observations.records import Records
from auditor.observations.released import Queries
from auditor.observations.returned import MembershipScores
from tests.membership_cases import Split, digits, shared_model


def trained(split: Split, *, members: int, seed: int = 0, steps: int = 800) -> torch.nn.Module:
    """A model that knows its first ``members`` candidates by heart."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = shared_model().build()
    mine = split.candidates[:members]
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(mine.inputs), mine.labels).backward()
        optimiser.step()
    return model


def stolen(model: torch.nn.Module, split: Split, *, seed: int = 0) -> MembershipScores:
    with torch.no_grad():
        answers = model(split.candidates.inputs)
        known = Knowledge(
            shared_model(), population=split.population, population_outputs=model(split.population.inputs)
        )
    losses = torch.nn.functional.cross_entropy(answers, split.candidates.labels, reduction="none")
    seen = Queries(answers, losses, split.candidates.labels, inputs=split.candidates.inputs)
    return ModelStealing(ModelStealing.Params(steps=400)).run(seen, known, RunContext(seed=seed))


def swapped(split: Split) -> Split:
    """A population that is labelled otherwise than the model was taught: only queries tell how it answers."""
    return Split(split.candidates, Records(split.population.inputs, (split.population.labels + 1) % 10))


def test_the_copy_answers_as_the_model_does() -> None:
    """What the model says cannot be learned from the labels here; the copy agrees, the baseline does not."""
    split = swapped(digits(seed=0))
    found = stolen(trained(split, members=300), split)
    assert found.agreement is not None
    measured = measure_agreement(found.agreement)
    assert measured.value is not None
    assert measured.interval is not None
    assert measured.interval.low > 0.75 > 0.3 > (measured.floor or 0)


def test_agreement_is_beside_a_model_learned_without_queries() -> None:
    """On an ordinary target the baseline agrees as well, nearly as often: most of the agreement is no theft."""
    split = digits(label_noise=0.3, seed=1)
    values = []
    for seed in range(3):
        found = stolen(trained(split, members=300, seed=seed), split, seed=seed)
        assert found.agreement is not None
        values.append(measure_agreement(found.agreement))
    gain = sum((m.value or 0) - (m.floor or 0) for m in values) / 3
    assert gain > 0.03
    assert all((m.floor or 0) > 0.4 for m in values)


def test_members_score_at_chance_where_the_target_never_saw_them() -> None:
    split = digits(seed=2)
    found = stolen(trained(Split(split.population, split.population), members=200), split)
    is_member = torch.arange(1400) < 700
    auc = next(m for m in measure_membership(found, is_member).measurements if m.metric == "auc")
    assert auc.interval is not None
    assert auc.interval.low <= 0.5 <= auc.interval.high


def test_what_is_missing_is_said() -> None:
    seen = Queries(torch.zeros(2, 10), torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(AttackFailed, match="missing"):
        ModelStealing(ModelStealing.Params()).run(seen, Knowledge(shared_model()), RunContext())
    shape = shared_model().shape.model_copy(update={"population": 40})
    assert ModelStealing(ModelStealing.Params()).unmet(shape) == ["needs 100 population records; the target has 40"]


def test_one_logit_is_read_as_two() -> None:
    assert two_columns(torch.tensor([[2.0], [-1.0]])).tolist() == [[0.0, 2.0], [0.0, -1.0]]


def test_members_of_an_overfitted_model_stand_out_on_the_copy() -> None:
    """The planted leak: labels that only memory can know."""
    split = digits(label_noise=0.3, seed=0)
    found = stolen(trained(split, members=700), split)
    auc = next(m for m in measure_membership(found, torch.arange(1400) < 700).measurements if m.metric == "auc")
    assert auc.interval is not None
    assert auc.interval.low > 0.5
