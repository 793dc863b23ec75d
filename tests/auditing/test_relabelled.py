"""Labels decided by coins: a training without noise gives them away, a private one does not."""

import pytest

from auditor.auditing.game import correctness
from auditor.auditing.mechanism import Played
from auditor.auditing.relabelled import play_labels
from auditor.auditing.trade_off import approximate_bound
from auditor.config.settings import FederationSettings, PrivacySettings
from tests.membership_cases import digits, shared_model


def played(*, rounds: int, seed: int = 0, **privacy: object) -> Played:
    federation = FederationSettings.model_validate(
        {"algorithm": "fedavg", "clients": 2, "rounds": rounds, "local": {"batch_size": 16, "learning_rate": 0.3}}
    )
    declared = PrivacySettings.model_validate({"mechanism": "none", **privacy})
    members = digits().candidates[:200]
    return play_labels(federation, declared, shared_model(), members, groups=None, canaries=100, seed=seed)


def test_a_training_without_privacy_gives_the_coins_away() -> None:
    found = played(rounds=60)
    right = correctness(found.scores.numpy(), found.included.numpy(), seed=0)[:20]
    assert right.mean() >= 0.95
    bound = approximate_bound(found.scores.numpy(), found.included.numpy(), delta=1e-5, guesses=20)
    assert bound.epsilon > 1.0


def test_a_private_training_does_not() -> None:
    private = {
        "mechanism": "dp_sgd",
        "protects": "record",
        "adjacency": "replace_one",
        "noise_multiplier": 4.0,
        "clipping_norm": 1.0,
        "sampling": "poisson",
        "delta": 1e-5,
    }
    found = played(rounds=3, **private)
    bound = approximate_bound(found.scores.numpy(), found.included.numpy(), delta=1e-5, guesses=20)
    assert bound.epsilon < 1.0


@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_the_labels_are_wrong(seed: int) -> None:
    found = played(rounds=1, seed=seed)
    assert 0.3 < float(found.included.double().mean()) < 0.7
    assert found.scores.shape == (100,)
