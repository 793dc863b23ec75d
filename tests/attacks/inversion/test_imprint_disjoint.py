"""The imprint that separates a sum over clients: exact copies, dropped clients, clipping, noise, no signal."""

from dataclasses import replace

import pytest
import torch

from auditor.attacks.base import AltersModel, RunContext
from auditor.attacks.inversion.imprint import Imprint
from auditor.attacks.inversion.imprint_disjoint import DisjointImprint
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from auditor.observations.released import Aggregate
from auditor.simulation.observe import observe_updates
from tests.attacks.inversion import cases
from tests.attacks.inversion.test_imprint import CONTEXT, KNOWN, MODEL, errors, pictures

CLIENTS = 10
PLAIN = PrivacySettings(mechanism="none")
GRANTS = frozenset({Grant.ALTERS_MODEL, Grant.AGGREGATE_UPDATE})


def federation(**changes) -> FederationSettings:
    secure = {"secure": {"enabled": True}}
    return FederationSettings.model_validate(
        {"algorithm": "fedsgd", "clients": CLIENTS, "local": {"batch_size": 4}, "aggregation": secure, **changes}
    )


def summed(records: Records, attack, settings=None, privacy=PLAIN, model=MODEL):
    functional = FunctionalModel(model)
    sent = attack.alter(model, functional.initial_state(0), KNOWN, CONTEXT)
    (seen,) = observe_updates(
        settings or federation(), privacy, sent.model, records, state=sent.state, view="aggregate", count=1, seed=3,
        grants=GRANTS, state_for=sent.for_client,
    )  # fmt: skip
    return seen.observation, seen.truth


def attack(**params) -> DisjointImprint:
    return DisjointImprint(DisjointImprint.Params(**{"clients": CLIENTS, "bins": 128, **params}))


def share(found, truth: Records, within: float = 0.01) -> float:
    if not len(found.inputs):
        return 0.0
    return float((errors(found, truth) < within).float().mean())


def test_it_alters_the_model_and_reads_sums() -> None:
    assert isinstance(attack(), AltersModel)
    assert DisjointImprint.observes == (Aggregate,)
    granted = frozenset({Grant.ALTERS_MODEL, Grant.CLIENT_UPDATE})
    (reason,) = DisjointImprint.needs.unmet(scenario="s", granted=granted, shape=MODEL.shape)
    assert "sees the sum of the updates" in reason


def test_forty_records_of_ten_clients_are_read_off_their_sum() -> None:
    seen, truth = summed(pictures(40, 1), attack())
    found = attack().run(seen, KNOWN, CONTEXT)
    assert len(truth) == 40
    assert share(found, truth) >= 0.9
    assert any("10 of 10 parts" in note for note in found.notes)


def test_one_part_for_all_reads_less_of_a_crowded_sum() -> None:
    """What the disjoint rows are for: with as few rows for all clients together, records collide."""
    records = pictures(80, 2)
    settings = federation(local={"batch_size": 8})
    seen, truth = summed(records, attack(bins=32), settings)
    own = share(attack(bins=32).run(seen, KNOWN, CONTEXT), truth)
    common = Imprint(Imprint.Params(bins=32))
    seen, truth = summed(records, common, settings)
    assert own > share(common.run(seen, KNOWN, CONTEXT), truth) + 0.3


def test_other_clients_rows_have_no_gradient() -> None:
    sent = attack().alter(MODEL, FunctionalModel(MODEL).initial_state(0), KNOWN, CONTEXT)
    update = cases.gradient_update(sent.model, pictures(4, 4), state=dict(sent.for_client(3)))
    rows = update.update["imprint.encoder.weight"].norm(dim=1).reshape(CLIENTS, -1).sum(1)
    assert float(rows[3]) > 0
    assert torch.equal(rows.nonzero().flatten(), torch.tensor([3]))


def test_weights_after_local_steps_still_separate() -> None:
    settings = federation(algorithm="fedavg", local={"batch_size": 2, "learning_rate": 0.01, "epochs": 1})
    several = replace(MODEL, shape=MODEL.shape.model_copy(update={"local_steps": 2}))
    seen, truth = summed(pictures(40, 5), attack(), settings, model=several)
    assert seen.kind == "difference"
    assert share(attack().run(seen, KNOWN, CONTEXT), truth, within=0.05) >= 0.8


def test_a_round_with_fewer_clients_leaves_parts_empty() -> None:
    settings = federation(participation={"scheme": "fixed_size", "count": 4})
    seen, truth = summed(pictures(40, 6), attack(), settings)
    found = attack().run(seen, KNOWN, CONTEXT)
    assert any("4 of 10 parts" in note for note in found.notes)
    assert share(found, truth) >= 0.9


def test_clipping_alone_does_not_help_and_noise_of_a_real_mechanism_does() -> None:
    private = {"mechanism": "dp_sgd", "protects": "record", "adjacency": "add_or_remove", "sampling": "poisson"}
    clipped = PrivacySettings.model_validate({**private, "clipping_norm": 1.0, "noise_multiplier": 0.0, "delta": 1e-5})
    seen, truth = summed(pictures(40, 7), attack(), privacy=clipped)
    assert share(attack().run(seen, KNOWN, CONTEXT), truth) >= 0.8
    noisy = clipped.model_copy(update={"noise_multiplier": 1.0})
    seen, truth = summed(pictures(40, 7), attack(), privacy=noisy)
    assert share(attack().run(seen, KNOWN, CONTEXT), truth, within=0.1) == 0


def test_pure_noise_gives_no_record() -> None:
    seen, truth = summed(pictures(40, 8), attack())
    generator = torch.Generator().manual_seed(0)
    noise = {name: 1e-3 * torch.randn(value.shape, generator=generator) for name, value in seen.update.items()}
    known = replace(seen.privatisation, noise_std=1e-3)
    found = attack().run(replace(seen, update=noise, privatisation=known), KNOWN, CONTEXT)
    assert not len(found.inputs) or share(found, truth, within=0.3) == 0


def test_a_layer_too_large_is_not_sent() -> None:
    large = MODEL.shape.model_copy(update={"aggregated_clients": 1000, "input_shape": (3, 224, 224)})
    (reason,) = DisjointImprint(DisjointImprint.Params()).unmet(large)
    assert "parameter 'bins'" in reason


def test_clients_that_pin_the_architecture_are_named() -> None:
    update = cases.gradient_update(MODEL, pictures(2, 0))
    seen = Aggregate(0, update.before, update.update, "gradient", 2, 2, update.local)
    with pytest.raises(AttackFailed, match="did not accept the altered model"):
        attack().run(seen, KNOWN, RunContext())
