"""Which granted capabilities the federation's own protections take away."""

from dataclasses import dataclass, field

from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.grants import Grant


@dataclass(frozen=True)
class EffectiveGrants:
    """What an adversary really gets.

    Attributes:
        granted: Capabilities left.
        withheld: Capabilities that the scenario grants and the federation prevents, each with the reason to print.
    """

    granted: frozenset[Grant]
    withheld: dict[Grant, str] = field(default_factory=dict)


def effective_grants(
    granted: frozenset[Grant], federation: FederationSettings, privacy: PrivacySettings
) -> EffectiveGrants:
    """Grants after secure aggregation.

    Secure aggregation hides what a single client sends (its update, a part of it, its BatchNorm statistics); who
    would have seen the updates sees their sum instead. Noise withholds nothing: it is in the observation itself.
    """
    if not federation.aggregation.secure.enabled:
        return EffectiveGrants(granted)
    reason = "federation.aggregation.secure is enabled: only the sum over a round's clients is visible"
    hidden = {Grant.CLIENT_UPDATE, Grant.PARTIAL_UPDATE, Grant.BATCH_NORM_STATISTICS} & granted
    left = granted - hidden
    if Grant.CLIENT_UPDATE in hidden:
        left |= {Grant.AGGREGATE_UPDATE}
    return EffectiveGrants(frozenset(left), dict.fromkeys(sorted(hidden), reason))
