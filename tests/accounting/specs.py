"""Short ways to write specifications and settings in tests."""

from typing import Any

from auditor.accounting.account import Effort
from auditor.accounting.spec import Adjacency, Phase, PrivacySpec, Sampler, Unit
from auditor.config.settings import FederationSettings, PrivacySettings

OWN = Effort(libraries=False)


def poisson_spec(*phases: tuple[float, float, int], delta: float, **others: Any) -> PrivacySpec:
    """Poisson sampling, one client added or removed; each phase is (noise, rate, steps)."""
    return PrivacySpec(
        **{
            "unit": Unit.CLIENT,
            "adjacency": Adjacency.ADD_OR_REMOVE,
            "sampler": Sampler.POISSON,
            "phases": tuple(Phase(noise_multiplier=s, rate=q, steps=t) for s, q, t in phases),
            "delta": delta,
            **others,
        }
    )


def federation(**others: Any) -> FederationSettings:
    return FederationSettings(**{"algorithm": "fedavg", "clients": 40, "rounds": 50, **others})


def privacy(**others: Any) -> PrivacySettings:
    return PrivacySettings(
        **{
            "mechanism": "dp_sgd",
            "protects": "record",
            "adjacency": "add_or_remove",
            "noise_multiplier": 1.5,
            "clipping": {"norm": 1.0},
            "sampling": "poisson",
            "delta": 1e-6,
            **others,
        }
    )
