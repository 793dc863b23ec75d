"""What every registered attack must keep to, a third party's included."""

import re
import time
from functools import cache

import pytest
import torch

from auditor.attacks.base import (
    AltersModel,
    Attack,
    AttackParams,
    Cost,
    Knowledge,
    ReadsPrior,
    ReferenceModels,
    RunContext,
)
from auditor.attacks.registry import available
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape
from auditor.engine.adversary import check_output
from auditor.engine.game import membership_game, reference_row
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Queries
from auditor.observations.returned import (
    AttackOutput,
    Attributions,
    InferredShare,
    MembershipScores,
    Reconstruction,
    RecoveredLabels,
)
from auditor.targets.target import Target
from tests.engine.makers import SMALL
from tests.engine.observations import KINDS, held, observation, picture_target, table_target

NAMES = sorted(available())
FEW = {"least_population": 50}
CLASSES = {"membership", "attribute", "property", "exfiltration", "regurgitation", "model_inversion", "reconstruction"}
TARGET = picture_target()


def attack_class(name: str) -> type[Attack]:
    entry = available()[name]
    assert entry.attack is not None, entry.error
    return entry.attack


def made(name: str) -> Attack:
    attack = attack_class(name)
    small = {key: value for key, value in (SMALL | FEW).items() if key in attack.Params.model_fields}
    return attack(attack.Params.model_validate(small))


def on_table(name: str) -> bool:
    """Is the attack for tables alone?"""
    modalities = attack_class(name).needs.modalities
    return modalities is not None and modalities == {Modality.TABULAR}


def target_of(name: str) -> Target:
    return table_target() if on_table(name) else TARGET


def needed_knowledge(name: str) -> Knowledge:
    """Only what the attack's needs open: an attack that asks for more must declare it."""
    attack, target = attack_class(name), target_of(name)
    population = Grant.POPULATION_DATA in attack.needs.grants
    queries = population and Queries in attack.observes
    outputs = losses = None
    if queries:
        model = FunctionalModel(target.model)
        with torch.no_grad():
            outputs = model.outputs(model.initial_state(1), target.population.inputs)
        losses = target.model.loss(outputs, target.population.labels)
    return Knowledge(
        model=target.model,
        population=target.population if population else None,
        population_outputs=outputs,
        population_losses=losses,
        references=references() if Grant.TRAINING_RECIPE in attack.needs.grants else None,
        candidates=target.members[:4] if issubclass(attack, ReadsPrior) else None,
    )


@cache
def references() -> ReferenceModels:
    """Four untrained models: enough to ask the shape of the answer."""
    model, candidates = FunctionalModel(TARGET.model), membership_game(TARGET, seed=3).candidates
    rows = torch.stack([reference_row(i, candidates=120, population=60, members=60, seed=3) for i in range(4)])
    states = [model.initial_state(10 + i) for i in range(4)]
    with torch.no_grad():
        outputs = torch.stack([model.outputs(state, candidates.inputs) for state in states])
        others = torch.stack([model.outputs(state, TARGET.population.inputs) for state in states])
    return ReferenceModels(
        outputs=outputs,
        losses=torch.stack([TARGET.model.loss(o, candidates.labels) for o in outputs]),
        included=rows[:, :120],
        population_outputs=others,
        population_losses=torch.stack([TARGET.model.loss(o, TARGET.population.labels) for o in others]),
        population_included=rows[:, 120:],
    )


def observed_kind(name: str) -> type:
    """A kind of observation that the attack reads; skips an attack that does not apply to the digits target."""
    attack, shape = attack_class(name), target_of(name).model.shape
    granted = attack.needs.grants | attack.needs.one_of
    reasons = attack.needs.unmet(scenario="all", granted=granted, shape=shape)
    reasons += made(name).unmet(shape)
    kinds = [kind for kind in KINDS if kind in attack.observes]
    if not kinds:
        reasons.append("its observation is made in the tests of its own folder")
    if issubclass(attack, AltersModel):
        reasons.append("the altered model is played in the tests of its own folder")
    if reasons:
        pytest.skip("; ".join(reasons))
    return kinds[0]


def run(name: str, context: RunContext | None = None) -> AttackOutput:
    kind, attack = observed_kind(name), made(name)
    return attack.run(
        observation(kind, table=on_table(name)), needed_knowledge(name), context or RunContext(seed=5, batched=False)
    )


def tensors(output: AttackOutput) -> list[torch.Tensor]:
    match output:
        case MembershipScores():
            return [output.scores]
        case RecoveredLabels():
            return [output.counts]
        case InferredShare():
            return [torch.tensor([output.share, output.guess])]
        case Attributions():
            return [output.scores]
        case Reconstruction():
            return [part for part in (output.inputs, output.labels, output.confidence) if part is not None]


def test_attacks_are_registered() -> None:
    assert len(NAMES) >= 25


def test_every_built_in_membership_attack_is_run_here() -> None:
    """None of them is skipped for want of an observation."""
    built_in = [name for name in NAMES if name.startswith(("membership/", "inference/"))]
    built_in = [name for name in built_in if attack_class(name).__module__.startswith("auditor.")]
    assert len([name for name in built_in if observed_kind(name)]) == len(built_in) >= 17


@pytest.mark.parametrize("name", NAMES)
class TestEveryAttack:
    def test_describes_itself(self, name: str) -> None:
        attack = attack_class(name)
        assert re.fullmatch(r"[a-z]+/[a-z0-9-]+", attack.name)
        assert attack.name == name
        assert attack.title
        assert attack.title[0].isupper()
        assert re.search(r"\b(19|20)\d\d\b", attack.paper), "the paper has a year"
        assert attack.__doc__
        assert re.search(r"\b(19|20)\d\d\b", attack.__doc__), "the docstring names the paper"
        assert attack.attack_class in CLASSES
        assert attack.revision >= 1

    def test_parameters_have_defaults_and_reasons(self, name: str) -> None:
        attack = attack_class(name)
        assert issubclass(attack.Params, AttackParams)
        attack.Params()
        assert all(field.description for field in attack.Params.model_fields.values())
        with pytest.raises(ValueError, match="not_a_parameter"):
            attack.Params.model_validate({"not_a_parameter": 1})

    def test_needs_say_what_is_missing(self, name: str) -> None:
        attack = attack_class(name)
        assert attack.observes
        reasons = attack.needs.unmet(scenario="nothing", granted=frozenset(), shape=TARGET.model.shape)
        assert reasons
        assert any(reason.startswith("needs ") for reason in reasons)

    def test_states_its_cost(self, name: str) -> None:
        cost = made(name).cost(target_of(name).model.shape)
        assert isinstance(cost, Cost)
        assert cost.gradient_evaluations + cost.record_gradients + cost.queries > 0

    def test_returns_what_can_be_measured(self, name: str) -> None:
        check_output(run(name), candidates=120, input_shape=target_of(name).model.shape.input_shape)

    def test_follows_its_seed_and_leaves_global_randomness_alone(self, name: str) -> None:
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = run(name)
        assert torch.get_rng_state().equal(before)
        torch.manual_seed(2)
        second = run(name)
        assert all(a.equal(b) for a, b in zip(tensors(first), tensors(second), strict=True))

    def test_does_not_change_what_it_is_given(self, name: str) -> None:
        attack = made(name)
        kind = observed_kind(name)
        seen = observation(kind, table=on_table(name))
        known = needed_knowledge(name)
        given = [*held(seen), TARGET.population.inputs, TARGET.population.labels]
        copies = [tensor.clone() for tensor in given]
        attack.run(seen, known, RunContext(seed=5))
        assert all(tensor.equal(copy) for tensor, copy in zip(given, copies, strict=True))

    def test_stops_at_its_deadline(self, name: str) -> None:
        attack = attack_class(name)
        context = RunContext(seed=5, deadline=time.monotonic())
        kind = observed_kind(name)
        start = time.monotonic()
        try:
            output = attack(attack.Params()).run(
                observation(kind, table=on_table(name)), needed_knowledge(name), context
            )
        except AttackFailed as failed:  # where a part is worth nothing, in words that name the time
            assert "time ended" in str(failed)  # noqa: PT017  either end is right, another failure is not
            return
        assert time.monotonic() - start < 30
        check_output(output, candidates=120, input_shape=target_of(name).model.shape.input_shape)

    def test_does_not_apply_to_a_shape_without_traits_or_says_why_it_runs(self, name: str) -> None:
        attack = attack_class(name)
        bare = TargetShape.model_validate({**TARGET.model.shape.model_dump(), "traits": frozenset()})
        granted = attack.needs.grants | attack.needs.one_of
        reasons = attack.needs.unmet(scenario="s", granted=granted, shape=bare)
        assert set(reasons) >= set(attack.needs.traits.values())
        assert not any(reason.startswith("needs ") and "does not grant" in reason for reason in reasons)
