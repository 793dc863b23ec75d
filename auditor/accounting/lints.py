"""The misdeclaration rules: how declared differential privacy goes wrong in practice, one rule each.

A rule answers with what it found, with nothing, or that it lacks the evidence to answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from auditor.accounting import lint_claims, lint_code
from auditor.accounting.evidence import Evidence
from auditor.accounting.lint_answers import UNKNOWN, Fires, Unknown
from auditor.config.settings import PracticeSettings
from auditor.core.privacy import Lint, LintSeverity

HIGH, MEDIUM, LOW = LintSeverity.HIGH, LintSeverity.MEDIUM, LintSeverity.LOW


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        id: Stable.
        setting: The setting it is about, for the place in the file.
        check: Answers for given evidence.
    """

    id: str
    severity: LintSeverity
    title: str
    remedy: str
    source: str
    setting: str
    check: Callable[[Evidence], Fires | Unknown | None]


class Checked(NamedTuple):
    """Rules that fired, and all that could be checked."""

    lints: tuple[Lint, ...]
    checked: tuple[str, ...]


RULES: tuple[Rule, ...] = (
    Rule(
        "DP01",
        HIGH,
        "Poisson sampling is assumed, but batches are shuffled or fixed",
        "Draw each unit independently, or declare privacy.sampling as it is and quote the interval.",
        "Chua et al. 2024 (arXiv:2403.17673, 2411.04205); Annamalai et al. 2024 (arXiv:2411.10614)",
        "privacy.sampling",
        lint_code.shuffled_not_poisson,
    ),
    Rule(
        "DP02",
        HIGH,
        "A fixed-size cohort is accounted as Poisson sampling",
        "Declare privacy.sampling: fixed_size, or let each client join by its own coin.",
        "Lebeda et al. 2024 (arXiv:2405.20769)",
        "privacy.sampling",
        lint_code.cohort_not_poisson,
    ),
    Rule(
        "DP03",
        HIGH,
        "Delta is not small against the number of protected units",
        "Choose it well below one over the number of protected units (records or clients): a tenth of that, or less.",
        "Ponomareva et al. 2023 (arXiv:2303.00654), section 5",
        "privacy.delta",
        lint_claims.delta_too_large,
    ),
    Rule(
        "DP04",
        HIGH,
        "The epsilon of one round is claimed as the total",
        "Compose over all rounds and quote the total.",
        "NIST SP 800-226; Ponomareva et al. 2023",
        "privacy.claimed_epsilon",
        lint_claims.per_round_epsilon,
    ),
    Rule(
        "DP05",
        HIGH,
        "Protection per record is presented as protection of people",
        "Clip and noise per person, or quote the epsilon for all records of one person.",
        "NIST SP 800-226, unit of privacy",
        "privacy.protects",
        lint_claims.record_level_for_people,
    ),
    Rule(
        "DP06",
        HIGH,
        "Clipping does not bound each protected unit",
        "Clip each unit's contribution; a microbatch of several units doubles the sensitivity.",
        "tensorflow-privacy, note on microbatches",
        "privacy.clipping.norm",
        lint_code.clip_not_per_unit,
    ),
    Rule(
        "DP07",
        HIGH,
        "The noise is smaller than declared",
        "Add noise of privacy.noise_multiplier times the clipping norm to the sum, before dividing.",
        "Tramer et al. 2022 (arXiv:2202.12219)",
        "privacy.noise_multiplier",
        lint_code.noise_too_small,
    ),
    Rule(
        "DP08",
        HIGH,
        "The noisy sum is divided by a private number",
        "Divide by a constant that is fixed before the data is seen.",
        "Opacus issues 571 and 819",
        "privacy.practice.divisor",
        lint_code.private_divisor,
    ),
    Rule(
        "DP09",
        MEDIUM,
        "The adjacency is not stated, or the claim was computed under another one",
        "State privacy.adjacency and quote epsilon under it; replace-one costs about twice as much.",
        "Ponomareva et al. 2023",
        "privacy.adjacency",
        lint_claims.adjacency_switched,
    ),
    Rule(
        "DP10",
        MEDIUM,
        "Tuning on private data is not accounted",
        "State privacy.override.tuning_runs, or tune on public data.",
        "Papernot and Steinke 2022 (arXiv:2110.03620)",
        "privacy.practice.tuned_on_private",
        lint_code.tuning_not_counted,
    ),
    Rule(
        "DP11",
        MEDIUM,
        "The adaptive clipping norm is learned from private data without noise",
        "Set privacy.clipping.count_noise; the tool then counts its cost.",
        "Andrew et al. 2021 (arXiv:1905.03871)",
        "privacy.clipping",
        lint_code.quantile_not_counted,
    ),
    Rule(
        "DP12",
        HIGH,
        "Parts of the model escape clipping and noise",
        "Replace layers that mix records (group or layer norm instead of batch norm) and noise all that is released.",
        "Opacus, module validation guide",
        "target.model",
        lint_code.model_outside,
    ),
    Rule(
        "DP13",
        MEDIUM,
        "Preprocessing learned from private data",
        "Use public or noisy statistics for normalisation, vocabulary, class weights and feature selection.",
        "NIST SP 800-226; Re:cord-play (arXiv:2602.17454)",
        "privacy.practice.private_preprocessing",
        lint_code.private_preprocessing,
    ),
    Rule(
        "DP14",
        MEDIUM,
        "The noise can be predicted",
        "Use a cryptographic generator and never share seeds between clients.",
        "NIST SP 800-226, side channels; Mironov 2012",
        "privacy.practice.secure_random",
        lint_code.predictable_noise,
    ),
    Rule(
        "DP15",
        MEDIUM,
        "Something is released that the accounting does not cover",
        "Do not publish it, or add noise and account for it.",
        "NIST SP 800-226; Ponomareva et al. 2023",
        "privacy.practice.releases",
        lint_code.uncovered_release,
    ),
    Rule(
        "DP16",
        MEDIUM,
        "Local noise with an epsilon that hardly limits an attack",
        "Read the cap on attacks; add more noise, send fewer updates, or aggregate securely.",
        "Kasiviswanathan et al. 2011; this project's docs/accounting.md",
        "privacy.noise_multiplier",
        lint_claims.large_local_epsilon,
    ),
    Rule(
        "DP17",
        HIGH,
        "Distributed noise counts on clients that may drop out or collude",
        "State privacy.override.honest_fraction; the tool then counts only the noise that is really there.",
        "Kairouz, Liu and Steinke 2021 (arXiv:2102.06387)",
        "privacy.override.honest_fraction",
        lint_code.missing_shares,
    ),
    Rule(
        "DP18",
        MEDIUM,
        "An estimate is quoted as a bound",
        "Quote an upper bound; the central limit approximation and PRV's point estimate are none.",
        "Gopi et al. 2021 (arXiv:2106.02848); Opacus issue 384",
        "privacy.practice.accountant",
        lint_claims.estimate_as_bound,
    ),
    Rule(
        "DP19",
        MEDIUM,
        "Steps, sampling rate and number of units do not fit together",
        "Count the steps that were really taken, resumed runs and the last batch included.",
        "Opacus, steps = int(epochs / sample_rate)",
        "privacy.override.steps",
        lint_claims.inconsistent_steps,
    ),
    Rule(
        "DP20",
        LOW,
        "Epsilon is rounded down, or the result is called “anonymous”",
        "Round epsilon up, and leave the word to people.",
        "Ponomareva et al. 2023",
        "privacy.claimed_epsilon",
        lint_claims.rounded_down,
    ),
    Rule(
        "DP21",
        HIGH,
        "Other releases about the same people are left out",
        "Keep one budget for each population and compose all releases on it.",
        "NIST SP 800-226",
        "privacy.practice.other_models",
        lint_claims.other_releases,
    ),
    Rule(
        "DP22",
        MEDIUM,
        "The accountant was used outside the range in which it is sound",
        "Quote the bracket of this report instead.",
        "This project's docs/accounting.md",
        "privacy.delta",
        lint_claims.accountant_out_of_range,
    ),
)


def lint(evidence: Evidence) -> Checked:
    """Every rule on ``evidence``. Answers about a mechanism are left aside where none is declared."""
    if evidence.privacy.mechanism == "none":
        said = PracticeSettings(claims_anonymous=evidence.privacy.practice.claims_anonymous)
        evidence = replace(evidence, privacy=evidence.privacy.model_copy(update={"practice": said}))
    lints, checked = [], []
    for rule in RULES:
        answer = rule.check(evidence)
        if answer is UNKNOWN:
            continue
        checked.append(rule.id)
        if isinstance(answer, Fires):
            lints.append(
                Lint(
                    id=rule.id,
                    severity=answer.severity or rule.severity,
                    title=rule.title,
                    found=answer.found,
                    remedy=rule.remedy,
                    source=rule.source,
                    setting=rule.setting,
                )
            )
    return Checked(tuple(lints), tuple(checked))
