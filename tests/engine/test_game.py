import torch

from auditor.engine.game import membership_game, reference_row
from tests.engine.targets import PER_SPLIT, digits_target


def test_the_order_of_candidates_says_nothing_about_membership() -> None:
    game = membership_game(digits_target(), seed=3)
    first_half = game.is_member[:PER_SPLIT].double().mean()
    assert 0.3 < first_half < 0.7
    assert int(game.is_member.sum()) == PER_SPLIT


def test_truth_follows_the_record() -> None:
    target = digits_target()
    game = membership_game(target, seed=3)
    known = {tuple(row.flatten().tolist()) for row in target.members.inputs}
    found = [tuple(row.flatten().tolist()) in known for row in game.candidates.inputs]
    assert found == game.is_member.tolist()


def row(index: int, *, members: int = 60, seed: int = 3) -> torch.Tensor:
    return reference_row(index, candidates=120, population=60, members=members, seed=seed)


def test_a_reference_model_has_as_many_records_as_the_audited_one_but_at_most_half() -> None:
    assert int(row(0).sum()) == 60
    assert int(row(0, members=150).sum()) == 90


def test_rows_depend_on_seed_and_index_alone() -> None:
    assert row(1).equal(row(1))
    assert not row(1).equal(row(2))
    assert not row(1).equal(row(1, seed=4))


def test_rows_are_blind_and_uncorrelated() -> None:
    rows = torch.stack([row(i) for i in range(400)]).double()
    share = rows.mean(0)
    assert (share - 1 / 3).abs().max() < 5 * (2 / 9 / 400) ** 0.5
    pair = (rows[:, 0] * rows[:, 1]).mean()
    assert abs(pair - 1 / 9) < 5 * (8 / 81 / 400) ** 0.5
