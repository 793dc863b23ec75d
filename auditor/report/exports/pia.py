"""Import file for the CNIL's PIA software: evidence for a data protection impact assessment, as a draft for people.

The file fills the questions on supporting assets, minimisation and illegitimate access, and leaves every field of
people, every evaluation and the validation empty. Texts are HTML there, so everything is escaped.
"""

import json
from html import escape
from typing import Any

from auditor.core.measurement import OutcomeStatus
from auditor.core.results import Results
from auditor.report.answers import epsilon_answer
from auditor.report.describe import attack_title, scenario_title, sentence_case
from auditor.report.formatting import number, short_hash
from auditor.report.strings import Strings

ASSETS, MINIMISATION = 123, 213
IMPACTS, THREATS, SOURCES, MEASURES, SEVERITY, LIKELIHOOD = range(321, 327)
EMPTY_TEXT = ("author_name", "evaluator_name", "validator_name", "rejection_reason", "applied_adjustments")
EMPTY = (
    "dpo_status",
    "dpo_opinion",
    "dpos_names",
    "people_names",
    "concerned_people_opinion",
    "concerned_people_status",
    "concerned_people_searched_opinion",
    "concerned_people_searched_content",
    "structure_id",
    "structure_name",
    "structure_sector_name",
    "structure_data",
)


def pia(results: Results, words: Strings) -> bytes:
    """The import file as JSON."""
    measures = _measures(results, words)
    value = {
        "pia": _header(results, words),
        "answers": _answers(results, words, [m["title"] for m in measures]),
        "measures": measures,
        "evaluations": [],
        "comments": [
            {
                "description": escape(words.plain("exports.draft", hash=results.sha256)),
                "reference_to": LIKELIHOOD,
                "for_measure": False,
                "pia_id": 1,
                "created_at": results.run.finished,
            }
        ],
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8")


def _header(results: Results, words: Strings) -> dict[str, Any]:
    moment = results.run.finished
    return {
        "id": 1,
        "status": 0,
        "name": words.plain("exports.pia_name", name=results.name),
        "category": words.plain("exports.pia_category"),
        **dict.fromkeys(EMPTY_TEXT, ""),
        **dict.fromkeys(EMPTY),
        "is_example": 0,
        "is_archive": 0,
        "progress": 0,
        "created_at": moment,
        "updated_at": moment,
    }


def _answers(results: Results, words: Strings, titles: list[str]) -> list[dict[str, Any]]:
    attacked = [o for o in results.outcomes if o.status == OutcomeStatus.MEASURED]
    threats = [
        words.plain("exports.threats", title=attack_title(o), scenario=scenario_title(results, o.scenario))
        for o in attacked
    ]
    severity = max((cell.severity for cell in results.risks), default=None)
    likelihood = max((cell.likelihood for cell in results.risks if cell.likelihood), default=None)
    draft = words.plain("exports.draft", hash=short_hash(results.sha256))
    content: list[tuple[int, str | None, int | None, list[str]]] = [
        (ASSETS, f"{_assets(results, words)} {draft} {words.plain('exports.attach')}", None, []),
        (MINIMISATION, _minimisation(results, words), None, []),
        (IMPACTS, None, None, _unique([cell.event for cell in results.risks])),
        (THREATS, None, None, _unique(threats)),
        (SOURCES, None, None, _unique([scenario_title(results, o.scenario) for o in attacked])),
        (MEASURES, None, None, titles),
        (SEVERITY, words.plain("exports.severity"), severity, []),
        (LIKELIHOOD, words.plain("exports.likelihood", run=results.run.id), likelihood, []),
    ]
    return [
        {
            "id": number_,
            "pia_id": 1,
            "reference_to": reference,
            "data": {
                "text": f"<p>{escape(text)}</p>" if text is not None else None,
                "gauge": gauge,
                "list": [escape(item) for item in items],
            },
            "created_at": results.run.finished,
        }
        for number_, (reference, text, gauge, items) in enumerate(content, start=1)
    ]


def _assets(results: Results, words: Strings) -> str:
    target = results.target
    return words.plain(
        "exports.assets",
        model=f"“{target.model}”",
        code=target.model_sha256,
        weights=target.weights_sha256 or words.plain("report.none"),
        parameters=number(target.shape.parameters),
        members=number(target.shape.members),
    )


def _minimisation(results: Results, words: Strings) -> str:
    sentences = [f.sentence for f in results.findings if f.metric == "recovered_share"]
    return words.plain(
        "exports.minimisation",
        records=number(results.target.shape.records_per_update),
        reconstruction=" ".join(sentences),
    )


def _measures(results: Results, words: Strings) -> list[dict[str, Any]]:
    privacy = results.settings.get("privacy") or {}
    secure = ((results.settings.get("federation") or {}).get("aggregation") or {}).get("secure") or {}
    found: list[tuple[str, str]] = []
    if privacy.get("mechanism", "none") != "none":
        answer = epsilon_answer(results, words)
        found.append(
            (words.plain("exports.measure_mechanism"), " ".join((sentence_case(answer.figure), *answer.detail)))
        )
    if secure.get("enabled"):
        found.append((words.plain("exports.measure_secure"), words.plain("exports.measure_secure_text")))
    return [
        {
            "id": index,
            "pia_id": 1,
            "title": escape(title),
            "content": f"<p>{escape(text)}</p>",
            "placeholder": "measures.default_placeholder",
            "created_at": results.run.finished,
        }
        for index, (title, text) in enumerate(found, start=1)
    ]


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))
