"""The accounting report as plain text; every bound is rounded towards its own side."""

import math
from collections.abc import Iterator

from auditor.core.privacy import AccountingReport, EpsilonEstimate


def accounting_text(report: AccountingReport) -> str:
    """What ``auditor account`` prints."""
    return "\n".join(_lines(report))


def rounded(value: float, *, up: bool, digits: int = 5) -> str:
    """``value`` with ``digits`` significant digits, never past the bound it is."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    steps = math.ceil(value / unit) if up else math.floor(value / unit)
    return f"{steps * unit:.{digits}g}"


_COIN = "Under Poisson sampling each {unit} joins a step by a coin of its own, and nobody knows which steps it joined"
_QUOTE = "so the two figures differ; quote that of the sampling that the code really does."
_SAMPLING = {
    "poisson": f"{_COIN}; batches cut from a shuffled order, as most data loaders make them, hide less of that as a "
    "rule and give another figure: declare privacy.sampling: shuffled where the code does so.",
    "shuffled": f"{_COIN}; shuffled batches hold each {{unit}} exactly once a pass, and the upper end above lets the "
    f"adversary know in which batch, {_QUOTE}",
    "fixed_size": f"{_COIN}; a draw of a fixed number ties each {{unit}} to the others, and its upper end above is a "
    f"looser proof, {_QUOTE}",
}
"""Why one mechanism has another epsilon under another sampling, in a sentence each."""


def _lines(report: AccountingReport) -> Iterator[str]:
    epsilon = report.epsilon
    if epsilon is None:
        yield f"Epsilon: not computed. {report.reason}"
    else:
        yield from _epsilon(epsilon, report.claimed_epsilon)
    yield from _alternatives(report)
    if epsilon is not None and math.isfinite(epsilon.upper) and (why := _SAMPLING.get(epsilon.sampler)):
        yield f"  Sampling: {why.format(unit=epsilon.unit)}"
    yield from _rounds(report)
    yield from _caps(report)
    yield from _lints(report)


def _epsilon(epsilon: EpsilonEstimate, claimed: float | None) -> Iterator[str]:
    if math.isinf(epsilon.upper):
        yield "Epsilon: infinite."
    else:
        yield (
            f"Epsilon at most {rounded(epsilon.upper, up=True)} (at least {rounded(epsilon.lower, up=False)}) "
            f"at delta {epsilon.delta:g}; one {epsilon.unit}, {_words(epsilon.adjacency)}, "
            f"{_words(epsilon.sampler)} sampling."
        )
        kind = "numerical error only" if epsilon.exactness == "exact" else "a bound; the truth may be anywhere between"
        yield f"  Bracket: {kind}. Accountants: {_words(epsilon.agreement)}."
    if epsilon.mu_gdp is not None:
        yield f"  As one number: mu-GDP {rounded(epsilon.mu_gdp, up=True)} (error rates from 1e-6)."
    if claimed is not None:
        yield f"  Claimed: {claimed:g} ({_claim(claimed, epsilon)})."
    for engine in epsilon.engines:
        values = [f"{name} {value:.6g}" for name in ("lower", "upper") if (value := getattr(engine, name)) is not None]
        yield f"  {engine.engine} {engine.version}: {', '.join([*values, *([engine.note] if engine.note else [])])}"
    for sentence in epsilon.assumptions:
        yield f"  Assumes: {sentence}"
    for sentence in epsilon.warnings:
        yield f"  Note: {sentence}"


def _claim(claimed: float, epsilon: EpsilonEstimate) -> str:
    if claimed < epsilon.lower:
        return f"too low: the settings give at least {rounded(epsilon.lower, up=False)}"
    return "holds for the declared mechanism" if claimed >= epsilon.upper else "inside the bracket"


def _alternatives(report: AccountingReport) -> Iterator[str]:
    for other in report.alternatives:
        yield (
            f"Under {_words(other.adjacency)}, {_words(other.sampler)} sampling: at most "
            f"{rounded(other.upper, up=True)} (at least {rounded(other.lower, up=False)})."
        )
        for sentence in other.warnings:
            yield f"  Note: {sentence}"


def _rounds(report: AccountingReport) -> Iterator[str]:
    if report.by_round:
        yield "By round (at most):"
        yield "  " + "  ".join(f"{r.round}: {rounded(r.upper, up=True, digits=4)}" for r in report.by_round)


def _caps(report: AccountingReport) -> Iterator[str]:
    caps = report.caps
    if caps is None:
        return
    yield "What this caps, whatever the attack:"
    for point in caps.roc:
        if point.fpr in (1e-6, 0.001, 0.01, 0.1):
            found = rounded(100 * point.tpr, up=True, digits=3)
            yield f"  membership: at most {found} % found at {100 * point.fpr:g} % false alarms"
    yield f"  membership advantage: at most {rounded(caps.advantage, up=True, digits=3)}"
    for prior, value in caps.posterior.items():
        cap = rounded(100 * value, up=True, digits=3)
        yield f"  a flagged unit is a member with at most {cap} % (prior {float(prior):g}, 1 % false alarms)"
    for guess, value in caps.reconstruction.items():
        cap = rounded(100 * value, up=True, digits=3)
        yield f"  what is guessed blindly with chance {guess} is reconstructed with at most {cap} %"


def _lints(report: AccountingReport) -> Iterator[str]:
    for found in report.lints:
        yield f"{found.id} ({found.severity}): {found.title}. {found.found} {found.remedy} [{found.setting}]"
    yield f"Misdeclaration rules: {len(report.lints)} fired, {len(report.lints_checked)} could be checked."


def _words(value: str) -> str:
    return value.replace("_", " ")
