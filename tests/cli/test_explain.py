"""Every word of the tool and of the report's headings has one entry; others are met with the nearest."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from auditor.accounting.lints import RULES
from auditor.attacks.registry import available
from auditor.config.load import available_scenarios
from auditor.controls.catalogue import available_catalogues, load_catalogue
from auditor.core.errors import ExitCode
from auditor.core.findings import ControlStatus, FindingStatus
from auditor.core.measurement import OutcomeStatus
from auditor.core.privacy import Agreement
from auditor.core.words import entries, entry_of, plain
from auditor.policy.bands import Band
from auditor.policy.risk_reasons import UNFIT, UNRULED, UNSETTLED, UNTESTED
from auditor.report.strings import strings
from auditor.resources import folder
from tests.cli.conftest import Run, refused

ABBREVIATION = re.compile(r"(?<![\w‑-])(?:[A-Z]{2,}[\w‑-]*|[A-Z]\w*[a-z][A-Z]\w*|[εδμ])(?![\w‑-])")
HEADINGS = {"title", "heading", "columns", "x_axis", "y_axis", "head", "short", "rows", "roc_y", "name", "terms"}
COLUMN_LENGTH = 32


def texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    match value:
        case dict():
            for key, each in value.items():
                yield from texts(each, (*path, str(key)))
        case list():
            for each in value:
                yield from texts(each, path)
        case str():
            yield path, value


def report_strings() -> dict[str, Any]:
    return yaml.safe_load((folder("templates/report") / "strings.en.yaml").read_text(encoding="utf-8"))


def headings() -> list[str]:
    """Titles, column heads, names of figures, and everything else that is short enough to be one."""
    return [
        text
        for path, text in texts(report_strings())
        if HEADINGS & set(path) or path[0] == "sections" or len(text) < COLUMN_LENGTH
    ]


def test_abbreviations_of_headings_have_an_entry() -> None:
    found = {match for text in headings() for match in ABBREVIATION.findall(text)}
    assert {"PSNR", "SSIM", "ε", "δ", "DP‑SGD", "FedAvg"} <= found
    assert {word for word in found if entry_of(word) is None} == set()


def test_figures_and_terms_of_the_report_have_an_entry() -> None:
    value = report_strings()
    words = [metric for metric in value["metrics"] if metric != "other"]
    words += [metric["short"] for metric in value["metrics"].values() if metric["short"] != "{metric}"]
    words += [part for term, _ in value["annex"]["terms"] for part in term.split(" and ")]
    words += [*value["risk"]["bands"], value["risk"]["likelihood"], value["risk"]["severity"], value["risk"]["effort"]]
    words += [value["findings"][key] for key in ("finding", "limit", "interval")]
    assert [word for word in words if entry_of(word) is None] == []


@pytest.mark.parametrize("group", ["finding", "outcome", "coverage", "control", "agreement", "mechanism", "algorithm"])
def test_every_status_has_an_entry_as_it_is_stored_and_as_it_is_shown(group: str) -> None:
    words = {key: shown for key, shown in report_strings()["words"][group].items() if key != "none"}
    assert [stored for stored in words if entry_of(stored) is None] == []
    assert [shown for shown in words.values() if entry_of(shown) is None] == []


def test_every_status_of_the_code_has_an_entry() -> None:
    ends = [value for name, value in vars(OutcomeStatus).items() if name.isupper()]
    named = [*FindingStatus, *ControlStatus, *Agreement, *Band, *ends]
    assert [value for value in named if entry_of(str(value)) is None] == []
    assert all(entry_of(f"exit-{code.value}") and entry_of(str(code.value)) for code in ExitCode)
    assert all(entry_of(zone.partition(":")[0]) for zone in (UNTESTED, UNFIT, UNSETTLED, UNRULED))


@pytest.mark.parametrize(
    "word",
    [
        *("poisson", "clipping norm", "canary", "protocol", "mu-GDP", "TPR", "FPR", "LiRA", "RMIA", "shadow model"),
        *("reference model", "epsilon", "delta", "noise multiplier", "secure aggregation", "PSNR", "floor", "capped"),
        *("blind baseline", "negative control", "inconclusive", "Shadow_Models", "ε", "DP‑SGD", "tpr_at_fpr"),
    ],
)
def test_words_are_explained_however_they_are_written(word: str, auditor: Run) -> None:
    ran = auditor("explain", *word.split())
    assert ran.code == 0, ran
    assert len(ran.out.split()) > 8


def test_every_attack_scenario_provision_and_lint_is_explained(auditor: Run) -> None:
    names = [*available(), *available_scenarios(), *(rule.id for rule in RULES)]
    names += [load_catalogue(pack).entries[0].id for pack in available_catalogues()]
    assert [name for name in names if auditor("explain", name).code != 0] == []


def test_no_word_has_two_entries_and_none_is_overclaimed() -> None:
    from auditor.report.wording import overclaims

    owners = Counter(plain(name) for entry in entries() for name in {plain(name) for name in entry.names})
    assert [name for name, count in owners.items() if count > 1] == []
    assert [entry.names[0] for entry in entries() if overclaims(entry.says) or len(entry.says.split()) < 5] == []


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("clipping nrom", "'clipping norm'"), ("lyra", "'LiRA'"), ("membership/rima", "'membership/rmia'"),
     ("gdpr-art-32", "'gdpr-art-32-2'"), ("honest-sever", "'honest-server'")],
)  # fmt: skip
def test_an_unknown_word_is_met_with_the_nearest(word: str, nearest: str, auditor: Run) -> None:
    ran = auditor("explain", *word.split())
    refused(ran, f"'{word}' is not a word that the tool explains. Did you mean")
    assert nearest in ran.err


def test_a_word_like_no_other(auditor: Run) -> None:
    refused(auditor("explain", "xyzzy12345"), "See auditor list attacks")


def test_settings_are_explained_with_what_they_take(auditor: Run) -> None:
    delta = auditor("explain", "privacy.delta").out
    assert "Takes: a number above 0 and below 1." in delta
    assert "well below one over the number of protected units" in delta
    assert "poisson, shuffled, fixed_size, full" in auditor("explain", "privacy.sampling").out
    block = auditor("explain", "federation.local").out
    assert "Holds: " in block
    assert "batch_size" in block
    assert "noise" not in block, "a block is not the word of the same name"


def test_every_setting_of_the_schema_can_be_explained(auditor: Run) -> None:
    from auditor.cli.explained_setting import explained_setting
    from auditor.config.schema import audit_schema

    schema = audit_schema()
    paths = [
        f"{block}.{name}"
        for block, node in schema["properties"].items()
        for name in schema["$defs"].get(node.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    ]
    assert len(paths) > 40
    assert [path for path in paths if not explained_setting(path)] == []
    refused(auditor("explain", "privacy.detla"), "is not a word that the tool explains")


def test_advantage_is_told_as_it_is_measured() -> None:
    """A threshold chosen on other records can give less than nothing, which a largest distance could not."""
    from torch import linspace, tensor

    from auditor.metrics.membership import measure_membership
    from auditor.observations.returned import MembershipScores

    inside = tensor([True, True, False, False] * 25)
    found = measure_membership(MembershipScores(linspace(0, 1, 100).double().roll(7)), inside)
    (measured,) = [m for m in found.measurements if m.metric == "advantage"]
    assert measured.value is not None
    assert measured.value < 0
    entry = entry_of("advantage")
    assert entry is not None
    for text in (entry.says, strings().plain("metrics.advantage.means")):
        assert "other half" in text
        assert "argest" not in text
