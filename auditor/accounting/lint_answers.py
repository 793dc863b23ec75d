"""What a rule can answer."""

from dataclasses import dataclass

from auditor.core.privacy import LintSeverity


@dataclass(frozen=True)
class Fires:
    """The rule fired.

    Attributes:
        found: A sentence with the figures.
        severity: Where it differs from the rule's.
    """

    found: str
    severity: LintSeverity | None = None


class Unknown:
    """The evidence does not say."""


UNKNOWN = Unknown()
