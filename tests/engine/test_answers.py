"""What is said where members and others are told apart without the model."""

from types import SimpleNamespace

import torch

from auditor.engine.answers import Answers
from auditor.engine.questions import Questions
from auditor.metrics.shift import BlindBaseline, blind_baseline
from auditor.observations.records import Records
from tests.membership_cases import digits

ASKED = Questions(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]))


def halves() -> tuple[Records, Records]:
    """Two samples that were drawn alike."""
    records = digits().candidates
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))
    return records[order[: len(order) // 2]], records[order[len(order) // 2 :]]


def told(members: Records, others: Records, paired: BlindBaseline) -> str:
    """The sentence of an attack whose questions name clients."""
    target = SimpleNamespace(members=members, nonmembers=others)
    answers = Answers(target, None, directory=None, seed=3)  # type: ignore[arg-type]
    return answers._without_model(ASKED, paired)


def test_pairing_records_with_clients_is_not_called_a_fault_of_the_samples() -> None:
    """Each client holds one class, and members are asked about their own client."""
    members, others = halves()
    drawn = others.labels[torch.randperm(len(others), generator=torch.Generator().manual_seed(1))]
    paired = blind_baseline(members, others, seed=0, asked=(members.labels, drawn))
    assert paired.shifted
    sentence = told(members, others, paired)
    assert "Record and client together tell members from others" in sentence
    assert "drawn alike" not in sentence


def test_a_shift_of_the_records_is_still_called_one() -> None:
    members, others = halves()
    moved = Records(others.inputs + 0.2, others.labels)
    paired = blind_baseline(members, moved, seed=0, asked=(members.labels, moved.labels))
    assert "not drawn alike" in told(members, moved, paired)
