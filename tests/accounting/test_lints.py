"""Each misdeclaration rule fires on its planted mistake, and none on what is declared rightly."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from auditor.accounting.account import account
from auditor.accounting.evidence import Evidence, ModelTraits, ObservedMechanism
from auditor.accounting.from_settings import spec_from_settings
from auditor.accounting.lints import RULES, lint
from auditor.accounting.spec import Refused
from auditor.config.settings import PracticeSettings
from auditor.core.privacy import Agreement, LintSeverity
from auditor.report.wording import overclaims
from tests.accounting.specs import OWN, federation, privacy

CLEAN_PRACTICE = PracticeSettings(
    clipping_per="unit",
    divisor="constant",
    tuned_on_private=False,
    private_preprocessing=(),
    secure_random=True,
    seeds_shared=False,
    releases=("model after every round",),
    accountant="pld",
    claims_anonymous=False,
    other_models=0,
)
CLIENTS = {"mechanism": "dp_fedavg", "protects": "client", "delta": 1e-3}
SECURE = {"aggregation": {"secure": {"enabled": True, "dropout": 0.1}}}


def evidence(
    fed: dict[str, Any] | None = None,
    priv: dict[str, Any] | None = None,
    *,
    records: int | None = 4000,
    model: ModelTraits | None = None,
    observed: ObservedMechanism | None = None,
    **practice: Any,
) -> Evidence:
    settings = federation(**(fed or {}))
    said = PracticeSettings(**{**CLEAN_PRACTICE.__dict__, **practice})
    declared = privacy(**(priv or {}), practice=said)
    spec = epsilon = None
    try:
        spec = spec_from_settings(settings, declared, records=records)
        epsilon = account(spec, OWN)
    except Refused:
        pass
    traits = model or ModelTraits()
    seen = observed or ObservedMechanism()
    return Evidence(settings, declared, spec, epsilon, records, traits, seen)


def fixed(count: int = 10) -> dict[str, Any]:
    return {"participation": {"scheme": "fixed_size", "count": count}}


def joined(rate: float = 0.25) -> dict[str, Any]:
    return {"participation": {"scheme": "poisson", "rate": rate}}


def _round_epsilon() -> float:
    return account(spec_from_settings(federation(rounds=1), privacy(), records=4000), OWN).upper


PLANTED: dict[str, Any] = {
    "DP01": lambda: evidence(observed=ObservedMechanism(sampler="shuffled")),
    "DP02": lambda: evidence(fixed(), CLIENTS),
    "DP03": lambda: evidence(priv={"delta": 1e-3}),
    "DP04": lambda: evidence(priv={"claimed_epsilon": _round_epsilon()}),
    "DP05": lambda: evidence(priv={"protects": "client", "delta": 1e-3}),
    "DP06": lambda: evidence(observed=ObservedMechanism(largest_norm=3.7)),
    "DP07": lambda: evidence(observed=ObservedMechanism(noise_std=0.15, noise_samples=10_000)),
    "DP08": lambda: evidence(divisor="actual_batch"),
    "DP09": lambda: evidence(accounted_adjacency="replace_one"),
    "DP10": lambda: evidence(tuned_on_private=True),
    "DP11": lambda: evidence(priv={"clipping": {"norm": 1.0, "kind": "adaptive", "quantile": 0.5, "count_noise": 0}}),
    "DP12": lambda: evidence(model=ModelTraits(cross_example_layers=("body.bn1",))),
    "DP13": lambda: evidence(private_preprocessing=("vocabulary",)),
    "DP14": lambda: evidence(secure_random=False),
    "DP15": lambda: evidence(releases=("model after every round", "validation loss of each client")),
    "DP16": lambda: evidence(
        priv={"mechanism": "local", "protects": "client", "noise_multiplier": 0.5, "sampling": "full", "delta": 1e-3}
    ),
    "DP17": lambda: evidence(SECURE, {**CLIENTS, "mechanism": "distributed", "sampling": "full"}),
    "DP18": lambda: evidence(accountant="gdp_clt"),
    "DP19": lambda: evidence(observed=ObservedMechanism(steps=10_000)),
    "DP20": lambda: evidence(claims_anonymous=True),
    "DP21": lambda: evidence(other_models=2),
    "DP22": lambda: evidence(priv={"delta": 1e-13}, accountant="pld"),
}


def test_there_are_22_rules_each_with_its_planted_mistake() -> None:
    assert [rule.id for rule in RULES] == sorted(PLANTED)
    assert len(RULES) == 22
    assert all(rule.title and rule.remedy and rule.source and rule.setting for rule in RULES)


@pytest.mark.parametrize("rule", sorted(PLANTED))
def test_planted_mistake_is_found(rule: str) -> None:
    found = lint(PLANTED[rule]())
    assert rule in {entry.id for entry in found.lints}
    assert rule in found.checked
    entry = next(entry for entry in found.lints if entry.id == rule)
    assert entry.found.endswith(".")
    assert not overclaims(f"{entry.title} {entry.found} {entry.remedy}")


def _clean() -> Iterator[Evidence]:
    override = {"reason": "as deployed"}
    yield evidence()
    yield evidence(priv={"noise_multiplier": 4.0})
    yield evidence(joined())
    yield evidence(priv={"sampling": "shuffled"})
    yield evidence(priv={"sampling": "fixed_size"})
    yield evidence(priv={"adjacency": "replace_one"})
    yield evidence(priv={"adjacency": "zero_out"})
    yield evidence(priv={"claimed_epsilon": 50.0})
    yield evidence(joined(), CLIENTS)
    yield evidence(fixed(), {**CLIENTS, "sampling": "fixed_size"})
    yield evidence(None, {**CLIENTS, "sampling": "full"})
    yield evidence(None, {**CLIENTS, "mechanism": "dp_ftrl", "sampling": "full", "noise_multiplier": 20.0})
    yield evidence(
        SECURE,
        {**CLIENTS, "mechanism": "distributed", "sampling": "full", "override": {**override, "honest_fraction": 0.8}},
    )
    yield evidence(None, {**CLIENTS, "mechanism": "local", "sampling": "full", "noise_multiplier": 30.0})
    yield evidence(priv={"clipping": {"norm": 1.0, "kind": "adaptive", "quantile": 0.5, "count_noise": 5.0}})
    yield evidence(priv={"override": {**override, "tuning_runs": 4}}, tuned_on_private=True)
    yield evidence(priv={"override": {**override, "records_per_client": 3}})
    yield evidence(
        observed=ObservedMechanism(noise_std=1.497, noise_samples=20_000, largest_norm=1.0, sampler="poisson")
    )
    yield evidence({"batch_norm": "eval"}, model=ModelTraits(cross_example_layers=("bn",)))
    yield evidence(priv={"delta": 1e-11}, accountant="closed_form")


@pytest.mark.parametrize("case", range(20))
def test_nothing_is_found_where_nothing_is_wrong(case: int) -> None:
    clean = list(_clean())
    assert len(clean) == 20
    assert lint(clean[case]).lints == ()


def test_no_mechanism_has_nothing_to_misdeclare() -> None:
    bare = Evidence(federation(), privacy(mechanism="none", protects=None, adjacency=None, sampling=None))
    assert lint(bare).lints == ()


def test_rules_without_evidence_are_not_counted_as_checked() -> None:
    bare = Evidence(federation(), privacy())
    checked = set(lint(bare).checked)
    assert checked.isdisjoint({"DP01", "DP06", "DP07", "DP08", "DP10", "DP12", "DP13", "DP14", "DP15"})


def test_a_delta_that_is_merely_large_is_a_smaller_finding() -> None:
    found = lint(evidence(priv={"delta": 1e-4})).lints
    assert [(entry.id, entry.severity) for entry in found] == [("DP03", LintSeverity.MEDIUM)]


def test_claim_under_the_other_adjacency_is_recognised() -> None:
    added = account(spec_from_settings(federation(), privacy(), records=4000), OWN).upper
    found = lint(evidence(priv={"adjacency": "replace_one", "claimed_epsilon": added}))
    assert "DP09" in {entry.id for entry in found.lints}


def test_claim_rounded_down() -> None:
    epsilon = account(spec_from_settings(federation(), privacy(), records=4000), OWN).lower
    claimed = int(epsilon * 10) / 10
    assert "DP20" in {entry.id for entry in lint(evidence(priv={"claimed_epsilon": claimed})).lints}


def test_answers_about_a_mechanism_are_left_aside_where_there_is_none() -> None:
    bare = dict.fromkeys(("protects", "adjacency", "noise_multiplier", "clipping", "sampling", "delta"))
    found = lint(evidence(priv={"mechanism": "none", **bare}, divisor="actual_batch", claims_anonymous=True))
    assert [entry.id for entry in found.lints] == ["DP20"]


@pytest.mark.parametrize("rule", ["DP04", "DP05", "DP09", "DP20"])
def test_no_rule_speaks_of_a_claim_that_is_not_judged(rule: str) -> None:
    """The accountants disagree, or epsilon is that of a sample: what the claim stands for is not known."""
    planted = planted_claim(rule)
    assert rule in {entry.id for entry in lint(planted).lints}
    assert planted.epsilon is not None
    disputed = replace(planted, epsilon=planted.epsilon.model_copy(update={"agreement": Agreement.DISPUTED}))
    sample = replace(planted, people=1_000_000)
    whole = replace(planted, people=planted.records)
    assert rule not in {entry.id for entry in lint(disputed).lints}
    assert rule not in {entry.id for entry in lint(sample).lints}
    assert rule in {entry.id for entry in lint(whole).lints}


def planted_claim(rule: str) -> Evidence:
    """A claim below the recomputed epsilon in the way that the rule names."""
    real = evidence()
    assert real.epsilon is not None
    several = {"override": {"reason": "as deployed", "records_per_client": 3}}
    wrong: dict[str, dict[str, Any]] = {
        "DP04": {"claimed_epsilon": _round_epsilon()},
        "DP05": {**several, "claimed_epsilon": real.epsilon.upper},
        "DP09": {"adjacency": "replace_one", "claimed_epsilon": real.epsilon.upper},
        "DP20": {"claimed_epsilon": int(real.epsilon.lower * 10) / 10},
    }
    return evidence(priv=wrong[rule])
