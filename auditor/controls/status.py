"""Claims to control statuses. Pure: the same results, names and day give the same rows."""

import datetime
from collections.abc import Mapping, Sequence

from auditor.controls.catalogue import Catalogue, Entry, Kind, load_catalogue
from auditor.controls.dates import applicable, leading_date, written
from auditor.controls.declared import declared_claims
from auditor.controls.evidence import CLASS_OF_KIND, Evidence, by_kind
from auditor.controls.rules import Case, Verdict, decide
from auditor.core.findings import ControlRow, ControlStatus, FindingStatus, RiskCell
from auditor.core.results import Results

ENTRY_VALID = datetime.timedelta(days=365)
"""A law pack that nobody looked at for a year may be wrong: laws and drafts changed within months in 2026."""

EVIDENCE_VALID = datetime.timedelta(days=365)
"""Attacks improve; EDPB Guidelines 02/2026 (draft), par. 35 and 88, ask to assess again."""


HIGH = 3
"""Likelihood and severity, from 1 to 4, at which a risk asks people about prior consultation."""


def mapped(results: Results, names: Sequence[str], *, today: datetime.date) -> Results:
    """The same run with control rows, pack summaries and the check of declared statements filled in.

    Args:
        results: A judged run.
        names: Packs, e.g. ``("gdpr", "eu_ai_act")``.
        today: The day for "applies from" and for expiry.

    Raises:
        AuditorError: for a pack that is not there.
    """
    catalogues = [load_catalogue(name) for name in dict.fromkeys(names)]
    kept = tuple(claim for claim in results.claims if not claim.id.startswith("declared:statement"))
    claims = (*kept, *declared_claims(results))
    evidence = by_kind(claims)
    rows = tuple(row for catalogue in catalogues for row in _rows(catalogue, results, evidence, today))
    summaries = tuple(catalogue.summary for catalogue in catalogues)
    return results.model_copy(update={"claims": claims, "controls": rows, "catalogues": summaries})


def _rows(
    catalogue: Catalogue, results: Results, evidence: Mapping[str, Evidence], today: datetime.date
) -> list[ControlRow]:
    dropped = _cannot_apply(results)
    until = expiry(results)
    said = written(until) if until else "an unknown date"
    high = tuple(dict.fromkeys(cell.event for cell in results.risks if _high(cell)))
    rows = []
    for entry in catalogue.entries:
        case = Case(entry, evidence, dropped, said, results.organisation.data_category, high, _unjudged(results))
        verdict = _stale(entry, case, until, today) or decide(case)
        rows.append(_row(catalogue, entry, verdict, today))
    return rows


def _row(catalogue: Catalogue, entry: Entry, verdict: Verdict, today: datetime.date) -> ControlRow:
    applies_from = entry.applies_from or (catalogue.applies_from if entry.kind == Kind.BINDING else ())
    now = applicable(applies_from, today)
    return ControlRow(
        catalogue=catalogue.name,
        id=entry.id,
        title=entry.title,
        kind=entry.kind.value,
        source_ref=entry.source_ref,
        paraphrase=entry.paraphrase,
        status=verdict.status,
        reason=f"{_duty(applies_from, now)}{verdict.reason}",
        applies_from=applies_from,
        applicable_now=now,
        as_of=entry.as_of,
        basis=entry.source_basis,
        evidence=verdict.evidence,
        evidence_kinds=entry.evidence_kinds,
        outside_reach=entry.outside_reach,
        note=entry.note,
    )


def _duty(applies_from: Sequence[str], now: bool | None) -> str:
    """What the row may be called on this day: a text that does not apply yet is never a current duty."""
    if not applies_from or now:
        return ""
    dates = "; ".join(applies_from)
    if now is False:
        return f"Adopted, not yet applicable; applies from {dates}. "
    return f"When this applies depends on the case or is unsettled: {dates}. "


def _stale(entry: Entry, case: Case, until: datetime.date | None, today: datetime.date) -> Verdict | None:
    checked = leading_date(entry.last_checked)
    if checked is None or today - checked > ENTRY_VALID:
        when = written(checked) if checked else "an unknown date"
        return Verdict(
            ControlStatus.STALE, f"This entry was last checked on {when}. Check the text before relying on it."
        )
    if case.there and not case.unmet and until is not None and today > until:
        return Verdict(ControlStatus.STALE, f"The evidence expired on {written(until)}. Run the audit again.")
    return None


def expiry(results: Results) -> datetime.date | None:
    """The last day of the evidence, as the tool proposes it; None where the end of the run is not known."""
    finished = leading_date(results.run.finished.replace("T", " "))
    return finished + EVIDENCE_VALID if finished else None


def _unjudged(results: Results) -> int:
    """Limits of adversaries for which some attack did not settle whether they are kept."""
    open_ends = {FindingStatus.INCONCLUSIVE, FindingStatus.NOT_RUN, FindingStatus.FAILED}
    names = {scenario.name for scenario in results.scenarios}
    limits = {
        (finding.outcome.partition(":")[0], finding.metric)
        for finding in results.findings
        if finding.limit is not None and finding.status in open_ends
    }
    return sum(name in names for name, _ in limits)


def _high(cell: RiskCell) -> bool:
    """The level from which a risk names Art. 36 GDPR."""
    return cell.likelihood is not None and min(cell.likelihood, cell.severity) >= HIGH


def _cannot_apply(results: Results) -> frozenset[str]:
    """Kinds of evidence whose attack class does not apply to this target."""
    absent = {row.id for row in results.coverage if row.status == "not_applicable"}
    return frozenset(kind for kind, row in CLASS_OF_KIND.items() if row in absent)
