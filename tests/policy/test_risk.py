import pytest

from auditor.core.findings import Threshold
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import AccountingReport, Agreement, AttackCaps, CapPoint, Lint, LintSeverity
from auditor.core.results import Organisation
from auditor.core.shape import ModelState
from auditor.policy import rule
from auditor.policy.cap import why_unverified
from auditor.policy.judge import judged
from auditor.policy.risk import effort, severity, zone
from tests.results_builder import (
    DP_SETTINGS,
    caps,
    epsilon,
    inversion,
    measurement,
    outcome,
    recovered,
    released,
    results,
    server,
)


def cell(*outcomes, **other):
    cells = judged(results(*outcomes, **other)).risks
    assert len(cells) == 1
    return cells[0]


def test_the_table_of_the_rule():
    assert {band: tuple(row[level] for level in ("low", "mid", "high")) for band, row in rule.LIKELIHOOD.items()} == {
        "S0": (1, 1, 1),
        "S1": (2, 2, 1),
        "S2": (3, 3, 2),
        "S3": (4, 4, 3),
    }


@pytest.mark.parametrize(
    ("access", "knowledge", "hours", "points", "level"),
    [
        (0, 0, 0, 0, "low"),
        (0, 2, 0, 2, "low"),
        (0, 2, 24, 3, "mid"),
        (3, 2, 23.9, 5, "mid"),
        (3, 2, 24, 6, "high"),
        (3, 3, 9999, 8, "high"),
    ],
)
def test_effort(access, knowledge, hours, points, level):
    found = effort(released(access=access, knowledge=knowledge), outcome(effort={"cpu_seconds": hours * 3600}))
    assert found == (points, level)


@pytest.mark.parametrize(
    ("declared", "event", "expected"),
    [
        ({"data_category": "public"}, "reconstruction", 1),
        ({"data_category": "ordinary"}, "reconstruction", 2),
        ({"data_category": "sensitive"}, "reconstruction", 3),
        ({"data_category": "special_category"}, "reconstruction", 3),
        ({"data_category": "special_category", "vulnerable_people": True}, "reconstruction", 4),
        ({"data_category": "special_category"}, "membership", 3),  # undeclared: not lowered
        ({"data_category": "special_category", "membership_is_sensitive": True}, "membership", 3),
        ({"data_category": "special_category", "membership_is_sensitive": False}, "membership", 2),
        ({"data_category": "special_category", "membership_is_sensitive": False}, "reconstruction", 3),
        ({"data_category": "public", "membership_is_sensitive": False}, "membership", 1),
        ({"data_category": "unheard-of"}, "membership", 4),
    ],
)
def test_severity_is_proposed_from_declarations(declared, event, expected):
    assert severity(Organisation(release_context="public", **declared), event) == expected


@pytest.mark.parametrize(
    ("likelihood", "level", "words"),
    [(3, 3, "decide before use"), (4, 2, "treat or justify"), (2, 3, "treat or justify"), (2, 2, "record")],
)
def test_zones(likelihood, level, words):
    assert zone(likelihood, level).startswith(words)


def test_an_unknown_likelihood_has_no_zone():
    assert zone(None, 1).startswith("undetermined")


def test_likelihood_follows_from_band_and_effort():
    found = cell(outcome(measurement(0.03, 0.02, 0.04)))
    assert (found.success_band, found.effort, found.likelihood, found.at_least) == ("S1", "low", 2, False)
    high = cell(outcome(measurement(0.03, 0.02, 0.04)), scenarios=(released(access=3, knowledge=3),))
    assert (high.effort, high.likelihood) == ("high", 1)


def test_the_worst_attack_counts_and_the_cheapest_of_those():
    strong = outcome(measurement(0.5, 0.4, 0.6), attack="membership/rmia", effort={"cpu_seconds": 1e8})
    cheap = outcome(measurement(0.5, 0.4, 0.6), attack="membership/loss-threshold")
    weak = outcome(measurement(0.02, 0.01, 0.03))
    assert cell(strong, weak).effort_points == 4
    found = cell(strong, cheap, weak)
    assert (found.success_band, found.effort_points, found.likelihood) == ("S3", 2, 4)


@pytest.mark.parametrize(
    "open_end",
    [
        outcome(status=OutcomeStatus.FAILED, attack="membership/rmia", reasons=("memory",)),
        outcome(status=OutcomeStatus.NOT_RUN, attack="membership/rmia", reasons=("budget",)),
        outcome(measurement(0.02, 0.0, 0.2), attack="membership/rmia"),
        outcome(measurement(None, None, None, at={"fpr": 0.001}, refused="too few"), attack="membership/rmia"),
    ],
)
def test_what_was_not_measured_makes_it_at_least(open_end):
    found = cell(outcome(measurement(0.03, 0.02, 0.04)), open_end)
    assert (found.likelihood, found.at_least) == (2, True)
    assert "membership/rmia" in found.reason


def test_an_attack_that_does_not_apply_leaves_nothing_open():
    other = outcome(status=OutcomeStatus.NOT_APPLICABLE, attack="membership/rmia", reasons=("no population",))
    assert not cell(outcome(measurement(0.03, 0.02, 0.04)), other).at_least


def test_the_highest_likelihood_is_never_at_least():
    found = cell(outcome(measurement(0.5, 0.4, 0.6)), outcome(status=OutcomeStatus.FAILED, attack="membership/rmia"))
    assert (found.likelihood, found.at_least) == (4, False)


def test_an_experimental_attack_speaks_by_high_figures_alone():
    assert cell(outcome(measurement(0.03, 0.02, 0.04), experimental=True)).likelihood is None
    assert cell(outcome(measurement(0.6, 0.55, 0.65), experimental=True)).likelihood is not None


def test_an_attack_cut_short_makes_it_at_least():
    assert cell(outcome(measurement(0.03, 0.02, 0.04), cut_short=True)).at_least


def test_nothing_measured_is_undetermined():
    failed = cell(outcome(status=OutcomeStatus.FAILED))
    assert (failed.success_band, failed.likelihood, failed.at_least) == ("not_tested", None, True)
    absent = cell(outcome(status=OutcomeStatus.NOT_APPLICABLE))
    assert (absent.success_band, absent.likelihood) == ("not_tested", None)
    assert "not a sign of resistance" in absent.reason
    wide = cell(outcome(measurement(0.02, 0.0, 0.2)))
    assert (wide.success_band, wide.likelihood, wide.at_least) == ("inconclusive", None, True)


def test_what_is_measured_but_wide_is_settled_and_not_tested_again():
    wide = cell(outcome(measurement(0.02, 0.0, 0.09)))
    assert "from no more than chance to clear success" in wide.reason
    assert wide.zone == "not settled: settle it before use, or decide without knowing"
    assert "to high success" in cell(outcome(measurement(0.02, 0.0, 0.2))).reason
    assert cell(outcome(status=OutcomeStatus.FAILED)).zone == "undetermined: test before use"
    absent = outcome(status=OutcomeStatus.NOT_APPLICABLE)
    assert cell(absent).zone == "undetermined: no attack here can test it, so people judge"
    assert cell(outcome(measurement(metric="auc"))).zone == "not settled: people judge the figures"


HALF = Threshold(metric="answer_accuracy", limit=0.5, reason="half of what a guess leaves open", beyond_guess=True)


def source(low, high):
    """Which client a record comes from, among ten."""
    found = measurement((low + high) / 2, low, high, metric="answer_accuracy", floor=0.05)
    return inversion(found, attack="inference/source", attack_class="attribute")


@pytest.mark.parametrize(("low", "high", "band"), [(0.09, 0.17, "inconclusive"), (0.15, 0.3, "S2")])
def test_a_figure_within_its_limit_beside_another_level_says_why(low, high, band):
    run = judged(results(source(low, high), scenarios=(server(HALF),)))
    assert [finding.status for finding in run.findings if finding.limit is not None] == ["within"]
    (found,) = run.risks
    assert found.success_band == band
    assert "within the limits fixed for them; the level follows a fixed scale of its own" in found.reason
    assert not found.zone.startswith("undetermined")


def test_a_level_that_agrees_with_the_limits_needs_no_such_word():
    low = cell(source(0.0, 0.06), scenarios=(server(HALF),))
    assert (low.success_band, "scale of its own" in low.reason) == ("S0", False)
    high = cell(source(0.7, 0.9), scenarios=(server(HALF),))
    assert (high.success_band, "scale of its own" in high.reason) == ("S3", False)


def test_a_low_figure_of_an_attack_without_power_gives_no_level():
    blind = inversion(recovered(0.0, 0.0, 0.03), control="positive", scenario="single-record")
    found = cell(inversion(recovered(0.0, 0.0, 0.04)), blind)
    assert (found.success_band, found.likelihood) == ("inconclusive", None)
    assert "finds nothing even where everything is laid open" in found.reason
    strong = cell(inversion(recovered(0.7, 0.6, 0.8)), blind)
    assert strong.likelihood == 4


def test_an_unclean_control_is_said_beside_the_level():
    dirty = outcome(measurement(0.3, 0.2, 0.4), state=ModelState.INITIAL)
    assert "negative control was not clean" in cell(outcome(measurement(0.5, 0.4, 0.6)), dirty).reason
    clean = outcome(measurement(0.01, 0.005, 0.02), state=ModelState.INITIAL)
    assert "negative control" not in cell(outcome(measurement(0.5, 0.4, 0.6)), clean).reason


def test_negative_controls_are_no_risk():
    assert judged(results(outcome(measurement(), state=ModelState.INITIAL))).risks == ()
    assert judged(results(outcome(measurement(), control="positive"))).risks == ()


def test_labels_are_an_event_of_their_own():
    labels = inversion(
        measurement(0.9, 0.8, 0.95, metric="label_accuracy", floor=0.2),
        attack="inversion/labels",
        attack_class="attribute",
    )
    cells = judged(results(labels, inversion(recovered(0.0, 0.0, 0.04)))).risks
    assert {c.attack_class: c.success_band for c in cells} == {"labels": "S3", "reconstruction": "S0"}


def test_the_scale_is_beside_the_level_and_not_in_it():
    people = Organisation(data_category="ordinary", release_context="public", subjects=12000)
    found = cell(outcome(measurement(0.03, 0.02, 0.04)), organisation=people)
    assert "12,000 people in the training data; at the measured rate 240 to 480 of them" in found.reason
    assert found.likelihood == 2


def test_a_rate_of_records_is_no_rate_of_people_who_have_many():
    few = Organisation(data_category="ordinary", release_context="public", subjects=13)
    found = cell(outcome(measurement(0.03, 0.02, 0.04)), organisation=few)
    assert "cannot be turned into people" in found.reason
    assert "of them" not in found.reason


CAPPED = AccountingReport(epsilon=epsilon(), caps=caps((0.001, 0.0017), (0.01, 0.017)), lints_checked=("a",))


def test_a_verified_epsilon_caps_the_band_and_closes_open_ends():
    wide = outcome(measurement(0.02, 0.0, 0.2))
    found = cell(wide, accounting=CAPPED, settings=DP_SETTINGS)
    assert (found.success_band, found.likelihood, found.at_least) == ("S0", 1, False)
    assert "caps any attack" in found.reason


@pytest.mark.parametrize(
    ("accounting", "settings", "why"),
    [
        (CAPPED, DP_SETTINGS | {"target": {"weights": "weights.npz"}}, "weights were given"),
        (CAPPED, DP_SETTINGS | {"privacy": {"mechanism": "dp_sgd", "override": {"reason": "x"}}}, "overridden"),
        (CAPPED.model_copy(update={"epsilon": epsilon(agreement=Agreement.DISPUTED)}), DP_SETTINGS, "did not agree"),
        (CAPPED.model_copy(update={"epsilon": epsilon(agreement=Agreement.SINGLE)}), DP_SETTINGS, "did not agree"),
        (CAPPED.model_copy(update={"epsilon": None, "reason": "x"}), DP_SETTINGS, "no finite epsilon"),
        (
            CAPPED.model_copy(
                update={
                    "lints": (Lint(id="L1", severity=LintSeverity.HIGH, title="t", found="f", remedy="r", source="s"),)
                }
            ),
            DP_SETTINGS,
            "contradict",
        ),
    ],
)
def test_an_unverified_epsilon_caps_nothing(accounting, settings, why):
    wide = outcome(measurement(0.02, 0.0, 0.2))
    run = results(wide, accounting=accounting, settings=settings)
    assert why in why_unverified(run)
    assert cell(wide, accounting=accounting, settings=settings).likelihood is None


def test_a_large_epsilon_caps_nothing():
    loose = CAPPED.model_copy(update={"caps": AttackCaps(roc=(CapPoint(fpr=0.01, tpr=0.99),), advantage=0.98)})
    assert cell(outcome(measurement(0.02, 0.0, 0.2)), accounting=loose, settings=DP_SETTINGS).likelihood is None


def test_a_client_level_epsilon_does_not_cap_record_level_attacks():
    client = CAPPED.model_copy(update={"epsilon": epsilon(unit="client")})
    assert cell(outcome(measurement(0.02, 0.0, 0.2)), accounting=client, settings=DP_SETTINGS).likelihood is None


def test_updates_before_the_noise_are_not_capped():
    server = released(grants=("client_update", "model_queries"))
    wide = outcome(measurement(0.02, 0.0, 0.2))
    assert cell(wide, accounting=CAPPED, settings=DP_SETTINGS, scenarios=(server,)).likelihood is None


def test_an_attack_above_the_cap_voids_it():
    found = cell(outcome(measurement(0.5, 0.4, 0.6)), accounting=CAPPED, settings=DP_SETTINGS)
    assert found.success_band == "S3"


def test_a_cell_quotes_the_widest_of_the_figures_that_gave_its_level():
    narrow = inversion(recovered(0.0, 0.0, 0.022, floor=0.001))
    wide = inversion(recovered(0.0, 0.0, 0.044, floor=0.001), attack="inversion/linear-layer")
    for pair in ((narrow, wide), (wide, narrow)):
        found = cell(*pair, scenarios=(server(),))
        assert found.success_band == "S0"
        assert "By inversion/linear-layer, 0 % to 4.4 % of records" in found.reason
