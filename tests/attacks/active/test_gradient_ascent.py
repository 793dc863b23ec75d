"""The malicious server's ascent: the research's figure, and what it does to the model."""

import pytest
import torch

from auditor.attacks.active.gradient_ascent import GradientAscent
from auditor.attacks.base import Knowledge, RunContext
from auditor.attacks.membership.rmia import area
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import Rounds
from tests.federated_cases import Federation, federation
from tests.membership_cases import shared_model

ATTACK = GradientAscent(GradientAscent.Params())
MODEL = FunctionalModel(shared_model())


@pytest.fixture(scope="module")
def worsened() -> Federation:
    def alter(state: dict[str, torch.Tensor], candidates: Records) -> dict[str, torch.Tensor]:
        return ATTACK.altered(state, candidates, MODEL, turn=0)

    return federation(alter=alter, altered_rounds=3)


def test_three_worsened_rounds_reach_the_research(worsened: Federation) -> None:
    areas = []
    for client in range(10):
        seen = Rounds(worsened.rounds[-3:], worsened.candidates, client, worsened.local)
        scores = ATTACK.run(seen, Knowledge(shared_model()), RunContext()).scores
        asked = (worsened.owner == client) | (worsened.owner < 0)
        areas.append(area(scores[asked], (worsened.owner == client)[asked]))
    assert sum(areas) / 10 >= 0.57


def test_the_altered_model_is_worse_on_the_candidates(worsened: Federation) -> None:
    honest = worsened.rounds[10].before
    altered = ATTACK.altered(honest, worsened.candidates, MODEL, turn=0)
    before, after = (MODEL.losses(state, worsened.candidates).mean() for state in (honest, altered))
    assert after > before
    moved = torch.cat([(altered[name] - honest[name]).flatten() for name in honest]).norm()
    size = torch.cat([honest[name].flatten() for name in honest]).norm()
    assert moved / size == pytest.approx(0.01, rel=1e-3)


def test_from_sums_it_learns_whether_any_client_holds_a_record(worsened: Federation) -> None:
    last = Rounds(worsened.seen(secure=True).rounds[-3:], worsened.candidates, None, worsened.local)
    scores = ATTACK.run(last, Knowledge(shared_model()), RunContext()).scores
    assert area(scores, worsened.owner >= 0) >= 0.57
