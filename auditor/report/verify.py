"""Is a run what it says: hashes, findings derived again, epsilon computed again, the report rendered again."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from auditor.accounting.report import accounting_report
from auditor.build import KEY, build
from auditor.config.settings import AuditSettings
from auditor.controls.status import mapped
from auditor.core.errors import AuditorError
from auditor.core.results import Results
from auditor.policy.judge import judged
from auditor.policy.protocol import changed_since_plan
from auditor.policy.re_audit import is_compared, with_comparison
from auditor.report.check import Check
from auditor.report.differing import derived_differences, page_differences, texts, told
from auditor.report.fields import with_fields
from auditor.report.html import page
from auditor.report.leakcheck import STREAM, unpacked
from auditor.report.load import Evidence, load_evidence
from auditor.report.pdf import write_pdf
from auditor.report.pdf_signing import MARK
from auditor.report.remeasured import remeasured
from auditor.report.render import EXPORTS
from auditor.report.signatures import signature_checks, signed_results
from auditor.report.strings import strings

DERIVED = ("findings", "claims", "coverage", "risks", "controls", "catalogues")
ARRAYS = "arrays match the hashes in results.json"
TOLERANCE = 1e-3


def verify(run_dir: Path, *, full: bool = True, trusted: Sequence[Any] | None = None) -> Iterator[Check]:
    """Check a run directory; each check as soon as it is done.

    Args:
        run_dir: The run.
        full: Also render the PDF again (seconds).
        trusted: Certificates that signers must lead back to; None to leave signers unchecked.

    Raises:
        StoreError: where ``results.json`` cannot be read at all.
    """
    try:
        evidence = load_evidence(run_dir)
    except AuditorError as error:
        yield Check(ARRAYS, differs=(str(error),))
        return
    results = evidence.results
    yield from _other_version(results)
    yield Check(ARRAYS)
    yield from signed_results(run_dir, results)
    yield from remeasured(run_dir, results)
    yield _derived_again(evidence)
    yield _as_planned(run_dir / "plan.json", results)
    yield _accounted_again(results)
    release = run_dir / "release"
    yield _same("evidence.json", release, lambda: evidence.raw)
    yield _same("report.html", release, lambda: page(evidence, printed=False).encode("utf-8"))
    for file, make in EXPORTS.values():
        if (release / file).exists():
            yield _same(file, release, lambda make=make: make(results, strings(), evidence.decided))  # type: ignore[misc]
    if (release / "report.pdf").exists():
        yield _attached(release / "report.pdf", evidence)
        if full:
            yield _same_pdf(release, write_pdf(page(evidence, printed=True), evidence))
    yield from signature_checks(run_dir, evidence, trusted)


def _derived_again(evidence: Evidence) -> Check:
    """Findings, claims, coverage, risks and statuses, from outcomes, accounting and settings alone."""
    name = "findings, risks and control statuses follow from the measurements"
    results = evidence.results
    if is_compared(results) and evidence.before is None:
        return Check(name, differs=("against.json is missing, which some claims rest on",))
    today = datetime.fromisoformat(results.run.finished).date()
    packs = [pack.get("name", "") for pack in results.catalogues]
    empty: dict[str, Any] = dict.fromkeys(DERIVED, ())
    made = mapped(judged(results.model_copy(update=empty)), packs, today=today)
    if is_compared(results) and evidence.before:
        made = mapped(with_comparison(made, evidence.before), packs, today=today)
    again = made.to_json()
    now = results.to_json()
    return Check(name, told(derived_differences(now, again)))


def _other_version(results: Results) -> Iterator[Check]:
    """Another version may judge or word the same measurements otherwise; only the one that wrote them can tell."""
    made_by = results.run.environment.get(KEY, f"{results.run.tool_version}, code not recorded")
    if made_by != build():
        yield Check(
            "",
            note=f"This run was made by another version of the tool (auditor {made_by}) than this one (auditor "
            f"{build()}): versions may judge, word or draw the same measurements otherwise, so what differs below is "
            "a change of the tool or an alteration, and only the version that made the run can tell which.",
        )


def _as_planned(path: Path, results: Results) -> Check:
    """Digest and limits against the plan that was written before the attacks."""
    name = "protocol and limits are those fixed before the run"
    if not path.is_file():
        return Check(name, skipped="the folder has no plan.json")
    try:
        planned = json.loads(path.read_bytes())
        return Check(name, differs=tuple(changed_since_plan(planned, results)))
    except (ValueError, AttributeError, TypeError) as error:
        return Check(name, differs=(f"plan.json cannot be read: {error}",))


def _accounted_again(results: Results) -> Check:
    name = "epsilon follows from the settings"
    try:
        settings = AuditSettings.model_validate(results.settings)
    except ValidationError as error:
        return Check(name, skipped=f"the settings cannot be read ({error.error_count()} problems)")
    again = accounting_report(
        settings,
        positions=results.positions,
        records=results.target.shape.members,
        silos=results.accounting.silos or None,
        people=results.organisation.subjects,
    )
    found, expected = results.accounting.epsilon, again.epsilon
    if found is None or expected is None:
        same = (found is None) == (expected is None)
        which = "the results hold none" if found is None else "the settings give none"
        return Check(name, differs=() if same else (f"epsilon was computed on one side alone: {which}",))
    pairs = {"lower end": (found.lower, expected.lower), "upper end": (found.upper, expected.upper)}
    pairs["delta"] = (found.delta, expected.delta)
    return Check(
        name,
        differs=tuple(f"its {key} is {a:g}; {b:g} is expected" for key, (a, b) in pairs.items() if not _close(a, b)),
    )


def _close(left: float, right: float) -> bool:
    return left == right or math.isclose(left, right, rel_tol=TOLERANCE)


def _same(file: str, release: Path, make: Callable[[], bytes]) -> Check:
    name = f"release/{file} is what these results give"
    try:
        found = (release / file).read_bytes()
    except FileNotFoundError:
        return Check(name, skipped="the file is not there")
    except OSError as error:
        return Check(name, skipped=str(error.strerror))
    expected = make()
    if found == expected:
        return Check(name)
    return Check(name, differs=_in_words(file, found, expected))


def _same_pdf(release: Path, expected: bytes) -> Check:
    """The PDF as rendered, or with signature fields behind it; what follows them is for the signatures to cover."""
    found = (release / "report.pdf").read_bytes()
    if MARK not in found and b"/AcroForm" not in found[len(expected) :]:
        return _same("report.pdf", release, lambda: expected)
    start = with_fields(expected, strings()) if find_spec("pyhanko") else expected
    return _same("report.pdf", release, lambda: found if found.startswith(start) else start)


def _in_words(file: str, found: bytes, expected: bytes) -> tuple[str, ...]:
    if file.endswith(".pdf"):
        return ("other bytes: the file was altered, or rendered by other versions of the tool or of its libraries",)
    now, again = found.decode("utf-8", "replace"), expected.decode("utf-8", "replace")
    if file.endswith(".html"):
        return page_differences(now, again)
    pairs = enumerate(zip_longest(now.split("\n"), again.split("\n"), fillvalue=""), 1)
    line, (one, other) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    return (texts(f"line {line:,}", one, other),)


def _attached(path: Path, evidence: Evidence) -> Check:
    data = path.read_bytes()
    inside = any(unpacked(found[1]) == evidence.raw for found in STREAM.finditer(data))
    return Check(
        "release/report.pdf carries these results",
        differs=() if inside else ("the attached results.json is another one, or missing",),
    )
