"""The blind baseline finds a planted shift and nothing else; the negative control contains the guess."""

import pytest
import torch

from auditor.metrics.membership import measure_membership
from auditor.metrics.shift import beside, blind_baseline, negative_control
from auditor.observations.records import Records
from auditor.observations.returned import MembershipScores
from tests.membership_cases import digits


def halves(records: Records, seed: int) -> tuple[Records, Records]:
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed))
    return records[order[: len(order) // 2]], records[order[len(order) // 2 :]]


def test_random_halves_are_not_told_apart() -> None:
    """One-sided error 2.5 % a run: three or more of eight would have probability 0.1 %."""
    found = [blind_baseline(*halves(digits().candidates, seed), seed=seed) for seed in range(8)]
    assert sum(baseline.shifted for baseline in found) <= 2
    areas = [m.value for b in found for m in b.measures.measurements if m.metric == "auc"]
    assert sum(area for area in areas if area is not None) / 8 == pytest.approx(0.5, abs=0.03)


def test_a_shift_of_labels_is_named() -> None:
    records = digits().candidates
    order = records.labels.argsort()
    found = blind_baseline(records[order[:700]], records[order[700:]], seed=0)
    assert found.shifted
    assert "not drawn alike" in found.sentence


def test_a_shift_of_inputs_is_named() -> None:
    first, second = halves(digits().candidates, 0)
    found = blind_baseline(Records(first.inputs + 0.1, first.labels), second, seed=0)
    assert found.shifted


@pytest.mark.parametrize("planted", [False, True])
def test_text_is_compared_by_its_tokens(planted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 50, (600, 20), generator=generator)
    tokens[:300, 0] = 7 if planted else tokens[:300, 0]
    assert (
        blind_baseline(Records(tokens[:300], tokens[:300]), Records(tokens[300:], tokens[300:]), seed=0).shifted
        == planted
    )


@pytest.mark.parametrize("labels", [torch.randn(80), torch.randn(80, 3), torch.arange(80)])
def test_every_kind_of_label_is_read(labels: torch.Tensor) -> None:
    records = Records(torch.zeros(80, 2, 2), labels)
    assert 0 <= blind_baseline(records[:40], records[40:], seed=0).measures.roc.max() <= 1


def test_negative_control_contains_the_guess_even_where_the_attack_leaks() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(4000) < 2000
    hits = 0
    for seed in range(40):
        scores = MembershipScores(torch.randn(4000, generator=generator) + 3 * truth)
        control = {m.key: m for m in negative_control(scores, truth, seed=seed).measurements}
        interval = control["tpr_at_fpr[fpr=0.01]"].interval
        assert interval is not None
        hits += interval.low <= 0.01 <= interval.high
    assert hits >= 38


def test_controls_stand_beside_the_attack_under_their_own_names() -> None:
    truth = torch.arange(600) < 300
    records = digits().candidates[:600]
    scores = MembershipScores(torch.randn(600, generator=torch.Generator().manual_seed(0)) + 3 * truth)
    blind = blind_baseline(records[:300], records[300:], seed=0)
    found = {m.key: m for m in beside(scores, truth, blind, seed=0)}
    assert {"blind_auc", "control_auc", "blind_tpr_at_fpr[fpr=0.1]", "control_tpr_at_fpr[fpr=0.1]"} <= set(found)
    assert all(m.metric.startswith(("blind_", "control_")) for m in found.values())
    assert not any(m.higher_is_worse for m in found.values())


def test_a_shift_raises_the_floor_of_the_attack() -> None:
    records = digits().candidates
    order = records.labels.argsort()
    truth = torch.arange(1400) < 700
    blind = blind_baseline(records[order[:700]], records[order[700:]], seed=0)
    scores = MembershipScores(torch.randn(1400, generator=torch.Generator().manual_seed(0)))
    plain = {m.key: m for m in measure_membership(scores, truth).measurements}
    raised = {m.key: m for m in measure_membership(scores, truth, blind=blind.measures).measurements}
    floor = raised["auc"].floor
    assert floor is not None
    assert floor > 0.9
    assert "never saw the model" in raised["auc"].floor_is
    assert plain["auc"].floor == 0.5
    assert raised["auc"].value == plain["auc"].value
