"""What weakens the evidence is read off the results, each time from what is there."""

from typing import Any

from auditor.core.measurement import Interval, Measurement, Outcome
from auditor.core.results import Results
from auditor.report.strings import strings
from auditor.report.weaknesses import weaknesses
from tests.report.example_results import EXAMPLES


def rebuilt(n: int, value: float, low: float) -> Measurement:
    interval = Interval(low=low, high=1.0, method="Clopper-Pearson")
    fields: dict[str, Any] = {"unit": "fraction", "interval": interval, "n": n, "n_of": "records", "method": "m"}
    return Measurement(metric="recovered_share", value=value, **fields)


def outcome(**other: Any) -> Outcome:
    fields: dict[str, Any] = {
        "scenario": "honest-server",
        "attack": "inversion/gradient-matching",
        "title": "Gradient matching",
        "attack_class": "reconstruction",
        "state": "trained",
        "status": "measured",
        "observations": 32,
        "measurements": (rebuilt(500, 0.0, 0.0),),
    }
    return Outcome.model_validate(fields | other)


def told(*outcomes: Outcome, warnings: tuple[str, ...] = ()) -> list[str]:
    plain: Results = EXAMPLES["nothing"]().results
    target = plain.target.model_copy(update={"warnings": warnings})
    lines = weaknesses(plain.model_copy(update={"outcomes": outcomes, "target": target}), strings())
    return [line.replace("\N{NARROW NO-BREAK SPACE}", " ") for line in lines]


def test_nothing_is_added_where_nothing_is_weak() -> None:
    assert told(outcome()) == []
    assert told(outcome(), warnings=("the target's own",)) == ["the target's own"]


def test_few_updates_are_counted() -> None:
    (one,) = told(outcome(observations=2), outcome(title="Other", observations=4), outcome(title="Third"))
    assert one.startswith("2 attacks on updates saw only 2 to 4 updates each")
    (alike,) = told(outcome(observations=8))
    assert alike.startswith("1 attack on updates saw only 8 updates each")
    assert told(outcome(observations=9)) == []


def test_attacks_that_were_cut_or_stopped_themselves_are_named() -> None:
    (cut,) = told(outcome(cut_short=True, notes=("30 of 500 iterations",)))
    assert "The time budget ended these attacks" in cut
    notes = ("500 of 500 iterations, 1 candidates", "142 of 500 iterations, 8 candidates", "164 of 500 iterations")
    (short,) = told(outcome(notes=notes))
    assert short.startswith("Gradient matching stopped early")
    assert "at the fewest after 142 of 500 iterations" in short
    assert told(outcome(notes=("500 of 500 iterations",))) == []


def test_thin_and_missing_controls_are_told() -> None:
    control = {"scenario": "single-record", "control": "positive", "observations": 4}
    (thin,) = told(outcome(), outcome(**control, measurements=(rebuilt(4, 1.0, 0.3976),)))
    assert "rest on 4 records at most, so that 100 % found means 39.7 % or more" in thin
    assert told(outcome(), outcome(**control, measurements=(rebuilt(100, 1.0, 0.96),))) == []
    member = {"attack": "membership/lira", "attack_class": "membership", "measurements": ()}
    (missing,) = told(outcome(**member, observations=1))
    assert missing.startswith("No positive control shows that the attacks on membership")
    assert told(outcome(**member, observations=1), outcome(**member, control="positive")) == []
