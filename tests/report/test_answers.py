"""The first page's answers: which figure is quoted, what status stands beside it, and what explains it."""

from typing import Any

from auditor.cli.run import _counts
from auditor.core.findings import Threshold
from auditor.core.measurement import Outcome
from auditor.core.results import Results
from auditor.core.shape import ModelState
from auditor.policy.judge import judged
from auditor.report.answers import Answer, summarise
from auditor.report.decisions import Item, fitting
from auditor.report.strings import strings
from tests import results_builder as build

WORDS = strings("en")
LINEAR = {"attack": "inversion/linear-layer", "title": "Reading records off the first layer"}


def answers(*outcomes: Outcome, **other: Any) -> dict[str, Answer]:
    """The answers of a run with these outcomes, by their questions."""
    found = summarise(run(*outcomes, **other), WORDS).answers
    return {answer.question: answer for answer in found}


def run(*outcomes: Outcome, **other: Any) -> Results:
    """A judged run with these outcomes."""
    return judged(build.results(*outcomes, **other))


def question(key: str) -> str:
    return WORDS.plain(f"answers.questions.{key}")


def said(answer: Answer) -> str:
    return " ".join((answer.figure, *answer.detail))


def test_a_real_reconstruction_is_not_hidden_by_an_inconclusive_nothing() -> None:
    nothing = build.inversion(build.recovered(0.0, 0.0, 0.15, n=20, n_of="records in 1 update"))
    real = build.inversion(build.recovered(0.01, 0.0055, 0.0168, n=1600, floor=0.0012), **LINEAR)
    answer = answers(nothing, real)[question("records")]
    assert "1\u202f%" in answer.figure
    assert answer.status == "inconclusive"
    assert "inconclusive because of another figure: Gradient matching" in said(answer)


def test_what_exceeds_comes_before_a_larger_excess_over_the_floor() -> None:
    high_limit = build.inversion(build.recovered(0.3, 0.05, 0.6), **LINEAR)
    beyond = build.inversion(build.recovered(0.2, 0.15, 0.25))
    answer = answers(high_limit, beyond)[question("records")]
    assert answer.status == "exceeds"
    assert "20\u202f%" in answer.figure
    assert "because of another figure" not in said(answer)


def test_the_positive_control_is_that_of_the_attack_and_of_its_state_or_is_named() -> None:
    def control(value: float, **other: Any) -> Outcome:
        share = build.recovered(value, max(0.0, value - 0.2), min(1.0, value + 0.2), n=4)
        return build.inversion(share, scenario="single-record", control="positive", **other)

    quoted = build.inversion(build.recovered(0.01, 0.0, 0.04))
    other = control(1.0, **LINEAR)
    own = control(0.5)
    fresh = control(0.75, state=ModelState.INITIAL)
    assert "the same attack rebuilds 50" in said(answers(quoted, other, own, fresh)[question("records")])
    assert "the same attack on the model before training rebuilds 75" in said(
        answers(quoted, other, fresh)[question("records")]
    )
    assert "Reading records off the first layer rebuilds 100" in said(answers(quoted, other)[question("records")])


def test_source_does_not_answer_for_an_attribute() -> None:
    source = build.outcome(
        build.measurement(0.9, 0.85, 0.94, metric="answer_accuracy", floor=0.1),
        attack="inference/source",
        title="Which client",
        attack_class="attribute",
    )
    hidden = build.outcome(
        build.measurement(0.3, 0.25, 0.36, metric="answer_accuracy", floor=0.3),
        attack="inference/attribute",
        title="A hidden value",
        attack_class="attribute",
    )
    found = answers(source, hidden)
    assert "90\u202f%" in found[question("source")].figure
    assert "30\u202f%" in found[question("attribute")].figure
    assert question("attribute") not in answers(source)


def test_one_update_fills_no_headline() -> None:
    lonely = build.outcome(
        build.measurement(0.0, 0.0, 0.975, metric="property_closer", n=1, n_of="updates", floor=0.5),
        attack="inference/property",
        attack_class="property",
    )
    answer = answers(lonely)[question("property")]
    assert "one update tells nothing" in answer.figure
    assert "97.5" not in said(answer)
    assert answer.status == "inconclusive"


def test_a_count_of_named_members_states_its_false_alarms() -> None:
    named = build.outcome(
        build.measurement(
            58.0, 41.0, 80.0, metric="exposed_members", at={"fpr": 0.01}, unit="count", floor=40.0, n=4000
        )
    )
    answer = answers(named)[question("membership")]
    assert "Members named, at 1\u202f% false alarms: 58" in answer.figure


def test_given_weights_were_declared_as_trained() -> None:
    own = run(build.inversion(build.recovered(0.0, 0.0, 0.04)))
    given = own.model_copy(update={"target": own.target.model_copy(update={"weights_sha256": build.SHA})})
    assert "declared as trained by FedAvg" in summarise(given, WORDS).scope
    assert "declared as trained" not in summarise(own, WORDS).scope


def test_epsilon_says_where_it_does_not_limit_the_server() -> None:
    accounting = build.NO_PRIVACY.model_copy(update={"epsilon": build.epsilon(unit="client")})

    def epsilon(mechanism: str) -> str:
        settings = build.SETTINGS | {"privacy": {"mechanism": mechanism, "noise_multiplier": 1.0}}
        return said(answers(accounting=accounting, settings=settings)[question("epsilon")])

    assert "before the noise, so ε does not limit" in epsilon("dp_fedavg")
    assert "does not limit" not in epsilon("dp_sgd")


def test_an_incomplete_run_says_what_is_missing() -> None:
    whole = run(build.inversion(build.recovered(0.0, 0.0, 0.04), notes=("The time budget ended 2 of 8 updates.",)))
    half = whole.model_copy(update={"run": whole.run.model_copy(update={"complete": False})})
    assert "inversion/gradient-matching for honest-server" in summarise(half, WORDS).missing
    assert "cut short by the time budget" in summarise(half, WORDS).missing
    assert summarise(whole, WORDS).missing == ""


def test_a_limit_without_a_figure_is_no_attack_that_was_not_run() -> None:
    limits = (Threshold(metric="recovered_share", limit=0.1, reason="x"), Threshold(metric="psnr", limit=9, reason="y"))
    results = run(build.inversion(build.recovered(0.0, 0.0, 0.04)), scenarios=(build.server(*limits),))
    text = summarise(results, WORDS).overall
    assert "not run" not in text
    assert "Limits for which no attack gave a figure: 1." in text
    assert text.startswith("Of 1 findings: 1 within the limit.")


def test_the_console_counts_as_the_first_page_does() -> None:
    unfit = build.inversion(status="not_applicable", reasons=("needs text",), attack="inversion/dager")
    control = build.inversion(build.recovered(1.0, 0.4, 1.0), control="positive", scenario="single-record")
    results = run(build.inversion(build.recovered(0.0, 0.0, 0.04)), unfit, control)
    page = summarise(results, WORDS)
    assert _counts(results) == f"{page.overall} 1 attack run does not apply."
    assert "1 do not apply" not in page.scope


def test_longer_answers_leave_less_room_for_lists() -> None:
    items = [Item("x" * 100) for _ in range(6)]
    assert [len(fitting(items, above=chars)) for chars in (0, 1130, 1800, 9000)] == [6, 6, 3, 1]


def test_an_experimental_figure_alone_is_measured_and_not_called_inapplicable() -> None:
    tried = build.outcome(build.measurement(0.03, 0.02, 0.04), experimental=True)
    judged_one = build.outcome(build.measurement(0.02, 0.01, 0.03), attack="membership/rmia", title="Relative")
    assert answers(tried)[question("membership")].status == "measured"
    both = answers(tried, judged_one)[question("membership")]
    assert both.status == "within"
    assert "within limit because of another figure: Relative" in said(both)
