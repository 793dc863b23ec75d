import datetime

import pytest
import yaml

from auditor.controls.catalogue import (
    FOLDER,
    Kind,
    available_catalogues,
    load_catalogue,
    not_law,
    parse_catalogue,
    vocabulary,
)
from auditor.controls.evidence import FAMILIES, WORDS
from auditor.controls.lint import AUTHORS_WORDS, lint
from auditor.core.errors import AuditorError
from auditor.core.findings import ControlRow

DAY = datetime.date(2026, 11, 20)
ENTRY = {
    "id": "x-1",
    "title": "Title",
    "kind": "binding",
    "asks": "achieve",
    "paraphrase": "Do it.",
    "evidence_kinds": ["mia_tpr_at_fpr"],
    "outside_reach": ["people"],
    "source_ref": "Art. 1",
    "source_basis": "memory",
    "as_of": "2026-11-20",
}
META = {"title": "X", "instrument": "X", "as_of": "2026-11-20", "verification": "v", "licence_note": "l"}


def test_the_shipped_packs_are_clean():
    assert lint(today=DAY) == ()


def test_packs_and_sizes():
    assert {name: len(load_catalogue(name).entries) for name in available_catalogues()} == {
        "gdpr": 48,
        "eu_ai_act": 27,
        "iso_42001": 49,
        "nist_ai_rmf": 5,
        "nist_sp_800_226": 5,
        "mitre_atlas": 8,
    }
    assert len(not_law()) == 14
    assert len(vocabulary()) == 45
    assert vocabulary().keys() == FAMILIES.keys() == WORDS.keys()


@pytest.mark.parametrize("name", ["gdpr", "eu_ai_act", "iso_42001"])
def test_nothing_of_the_drafts_was_lost(name, shared_data):
    drafted = yaml.safe_load((shared_data / "law" / f"{name}.yaml").read_text(encoding="utf-8"))
    ours = {entry.id: entry for entry in load_catalogue(name).entries}
    assert [entry["id"] for entry in drafted["entries"]] == list(ours)
    for entry in drafted["entries"]:
        mine = ours[entry["id"]]
        for field in ("title", "kind", "paraphrase", "source_basis", "as_of"):
            assert getattr(mine, field) == entry[field]
        assert list(mine.evidence_kinds) == entry["evidence_kinds"]
        assert list(mine.applies_from) == entry.get("applies_from", [])


def test_every_ai_act_row_says_from_when_it_applies():
    assert all(entry.applies_from for entry in load_catalogue("eu_ai_act").entries)


def test_atlas_ids_name_their_release():
    pack = load_catalogue("mitre_atlas")
    assert "5.6.0" in pack.instrument
    assert all(entry.id.startswith("AML.T") and "v5.6.0" in entry.source_ref for entry in pack.entries)
    titles = {entry.id: entry.title for entry in pack.entries}
    assert titles["AML.T0024.000"] == "Infer Training Data Membership"
    assert titles["AML.T0024.001"] == "Invert AI Model"
    assert titles["AML.T0024.002"] == "Extract AI Model"


def test_an_unknown_pack_names_those_that_are_there():
    with pytest.raises(AuditorError, match="no control catalogue 'gdrp'") as caught:
        load_catalogue("gdrp")
    assert "gdpr" in caught.value.remedy
    with pytest.raises(AuditorError, match="no control catalogue"):
        load_catalogue("not_law")


def pack(*entries, meta=None, name="x", kinds=None):
    value = {"meta": META if meta is None else meta, "entries": list(entries)}
    return yaml.safe_dump(value | ({"evidence_kinds": kinds} if kinds else {}))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1", "cannot be read as YAML"),
        ("- a", "is not a mapping"),
        (pack(ENTRY | {"kind": "law"}), "entries.x-1.kind"),
        (pack(ENTRY | {"asks": "please"}), "entries.x-1.asks"),
        (pack(ENTRY | {"title": ""}), "entries.x-1.title"),
        (pack(ENTRY | {"extra": 1}), "entries.x-1.extra"),
        (pack({k: v for k, v in ENTRY.items() if k != "source_ref"}), "entries.x-1.source_ref"),
        (pack(ENTRY | {"outside_reach": []}), "entries.x-1.outside_reach"),
        (pack("not a mapping"), "entries.0"),
        (pack(ENTRY | {"as_of": DAY}), "entries.x-1.as_of"),
    ],
)
def test_a_malformed_pack_says_where(text, what):
    with pytest.raises(AuditorError) as caught:
        parse_catalogue(text, name="x")
    assert what in str(caught.value)


def linted(tmp_path, *entries, meta=None, today=DAY, **other):
    (tmp_path / "gdpr.yaml").write_text((FOLDER / "gdpr.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "eu_ai_act.yaml").write_text(pack(*entries, meta=meta), encoding="utf-8")
    return "\n".join(p for p in lint(tmp_path, today=today, **other) if p.startswith("eu_ai_act"))


DATED = ENTRY | {"applies_from": ["2027-12-02 (Annex III)"]}


def test_a_sound_entry_passes(tmp_path):
    assert linted(tmp_path, DATED) == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"evidence_kinds": ["mia"]}, "'mia' is not an evidence kind"),
        ({"requires": ["dp_epsilon_recomputed"]}, "requires 'dp_epsilon_recomputed'"),
        ({"paraphrase": "word " * 31}, "31 words"),
        ({"source_basis": "hearsay"}, "source_basis 'hearsay'"),
        ({"as_of": "20 Nov 2026"}, "'20 Nov 2026' is not a date"),
        ({"as_of": "2026-11-21"}, "lies in the future"),
        ({"as_of": "2025-11-19"}, "is stale: last checked on 2025-11-19, 366 days ago"),
        ({"applies_from": ["soon"]}, "'soon' begins neither with a date"),
        ({"applies_from": ["2027-13-02"]}, "'2027-13-02' begins neither with a date"),
        ({"applies_from": []}, "does not say from when it applies"),
        ({"kind": "draft-guidance"}, "is a draft, but"),
        ({"note": "Never cite as an obligation."}, "'Never cite' is a note of the authors"),
        ({"source_ref": "Art. 1 (day not checked)"}, "'not checked' is a note of the authors"),
    ],
)
def test_lint_finds(tmp_path, change, problem):
    assert problem in linted(tmp_path, DATED | change)


def test_a_later_look_keeps_an_old_document_fresh(tmp_path):
    assert linted(tmp_path, DATED | {"as_of": "2023-06-19", "checked": "2026-11-20"}) == ""
    assert "is stale" in linted(tmp_path, DATED, today=datetime.date(2027, 11, 21))
    assert "is stale" in linted(tmp_path, DATED | {"as_of": "2026-11-10"}, max_age=datetime.timedelta(days=9))


def test_lint_finds_faults_of_the_pack_itself(tmp_path):
    assert "x-1: is there 2 times" in linted(tmp_path, DATED, DATED)
    assert "has no entries" in linted(tmp_path)
    assert "meta: has no verification" in linted(tmp_path, DATED, meta=META | {"verification": ""})
    assert "meta: as_of 'x' is not a date" in linted(tmp_path, DATED, meta=META | {"as_of": "x"})


def test_lint_reports_every_file_and_does_not_stop_at_the_first(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("a: [1", encoding="utf-8")
    found = "\n".join(lint(tmp_path, today=DAY))
    assert "a.yaml" in found
    assert "b.yaml" in found


def test_lint_reads_the_patterns_of_what_is_not_law(tmp_path):
    entry = {
        "id": "n",
        "claim": "c",
        "status": "s",
        "nearest_provision": "p",
        "source_basis": "memory",
        "as_of": "2026-11-20",
    }
    text = yaml.safe_dump({"entries": [entry | {"patterns": ["(a"]}, entry]})
    (tmp_path / "not_law.yaml").write_text(text, encoding="utf-8")
    found = "\n".join(lint(tmp_path, today=DAY))
    assert "pattern '(a' cannot be read" in found
    assert "n: has no pattern" in found
    assert "n: is there 2 times" in found


def test_an_empty_folder_is_a_problem(tmp_path):
    assert any("no catalogue is there" in problem for problem in lint(tmp_path, today=DAY))


def test_notes_to_the_authors_stay_with_them():
    packs = [load_catalogue(name) for name in available_catalogues()]
    own = [entry.internal for pack in packs for entry in pack.entries if entry.internal]
    assert len(own) > 20
    assert not {"internal"} & set(ControlRow.model_fields)
    assert sum(bool(AUTHORS_WORDS.search(text)) for text in own) > 10, "the list of words must find real notes"


def test_draft_guidance_is_marked_as_such():
    drafts = [e for e in load_catalogue("gdpr").entries if e.kind == Kind.DRAFT_GUIDANCE]
    assert len(drafts) >= 6
