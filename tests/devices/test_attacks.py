"""Every registered attack computes on the pretended device what it computes on the CPU."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from auditor.attacks.base import AltersModel, AltersTraining, Attack, Knowledge, ReadsPrior, RunContext
from auditor.attacks.registry import available
from auditor.engine.adversary import check_output
from auditor.learning.functional import FunctionalModel
from auditor.observations.moving import on_device
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate, LabelOracle, Observation, SummedRounds
from tests.attacks import test_no_signal as controls
from tests.attacks.inversion import cases
from tests.devices.compared import on_both
from tests.engine import test_attack_contract as contract

TINY = {
    "iterations": 2, "restarts": 1, "sweeps": 1, "bins": 32, "total_variation": (0.01,), "steps": 5, "updates": 32,
    "hidden": 16, "training_steps": 10, "features": 32, "reference_models": 4, "least_population": 50,
    "starts": 1, "refinement": 2, "holds": (1.0,),
}  # fmt: skip
"""How long an attack tries, and the size of networks it trains."""

CLIENTS = 5
REBUILDING = sorted(controls.NAMES)
OTHERS = sorted(set(contract.NAMES) - set(REBUILDING))
APART = {"membership/relu-trap": "needs a training that was altered for it, which is played in whole audits"}


def made(name: str) -> Attack:
    kind = available()[name].attack
    assert kind is not None
    small = {key: TINY[key] for key in TINY if key in kind.Params.model_fields}
    if name == "inversion/deep-leakage":
        small["iterations"] = 1  # of L-BFGS, 20 evaluations each
    return kind(kind.Params.model_validate(small))


@cache
def words() -> controls.Case:
    """A text model of few words: an attack tries each at each place."""
    model = cases.decoder_model(12, 8, 1, tokens=3, records=1)
    tokens = torch.randint(1, 12, (80, 3), generator=torch.Generator().manual_seed(0))
    return controls.Case(model, Records(tokens[:40], tokens[:40]), Records(tokens[40:], tokens[40:]))


def case_for(attack: Attack) -> controls.Case:
    """The first case, from the smallest on, that the attack applies to."""
    possible = (make() for make in (controls.table, controls.categories, words, controls.pictures))
    return next(case for case in possible if not controls.reasons_against(attack, case))


def seen_by(attack: Attack, update: ClientUpdate) -> Observation:
    """What the controls show; of sums, those of clients that can be told from each other."""
    seen = controls.seen_by(attack, update)
    if not isinstance(seen, SummedRounds):
        return seen
    own = [update.update, *(controls.noise_like(update.update, seed) for seed in range(1, CLIENTS))]
    pairs = [(t % CLIENTS, (t + 1) % CLIENTS) for t in range(len(seen.rounds))]
    sums = [{key: (own[a][key] + own[b][key]) / 2 for key in update.update} for a, b in pairs]
    rounds = zip(seen.rounds, sums, pairs, strict=True)
    return replace(seen, rounds=tuple(replace(view, aggregate=mean, cohort=pair) for view, mean, pair in rounds))


@pytest.mark.parametrize("name", REBUILDING)
def test_attacks_that_rebuild(name: str) -> None:
    attack = made(name)
    case = case_for(attack)

    def work(device: str) -> Any:
        context, truth = RunContext(seed=3, device=device), case.members[: controls.SIZE]
        known = Knowledge(case.model, case.population, candidates=_prior(attack, case))
        known = on_device(known, device)
        model, state = case.model, on_device(FunctionalModel(case.model).initial_state(1), device)
        if isinstance(attack, AltersModel):
            sent = attack.alter(model, state, known, context)
            model, state = sent.model, dict(sent.state)
            known = replace(known, model=model)
        own = {key: value.cpu() for key, value in state.items()}
        update = cases.gradient_update(model, truth, state=own, local=cases.recipe(batch_norm="eval"))
        found = attack.run(on_device(seen_by(attack, update), device), known, context)
        check_output(found, candidates=0, input_shape=case.model.shape.input_shape)
        return found

    on_both(work, rtol=1e-3, atol=1e-3)


def _prior(attack: Attack, case: controls.Case) -> Any:
    return case.members[: attack.prior_records()] if isinstance(attack, ReadsPrior) else None


@pytest.mark.parametrize("name", OTHERS)
def test_attacks_that_decide(name: str) -> None:
    attack = made(name)
    if name in APART:
        assert isinstance(attack, AltersTraining)
        return
    kind = next(kind for kind in contract.KINDS if kind in attack.observes)

    def work(device: str) -> Any:
        seen = _moved(contract.observation(kind, table=contract.on_table(name)), device)
        known = on_device(contract.needed_knowledge(name), device)
        found = attack.run(seen, known, RunContext(seed=5, device=device))
        check_output(found, candidates=120, input_shape=contract.target_of(name).model.shape.input_shape)
        return found

    on_both(work, least=0)


def _moved(seen: Observation, device: str) -> Observation:
    """On the device; an oracle that is asked there answers there."""
    moved = on_device(seen, device)
    if isinstance(seen, LabelOracle) and isinstance(moved, LabelOracle):
        return replace(moved, ask=lambda inputs: seen.ask(inputs.cpu()).to(inputs.device))
    return moved


def test_what_is_left_to_whole_audits_has_a_reason() -> None:
    assert set(APART) < set(OTHERS)
