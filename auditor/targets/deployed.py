"""The deployed weights that the settings name, and the hashes that name model and weights in the results."""

import hashlib
from dataclasses import dataclass

from torch import Tensor

from auditor.config.document import AuditDocument
from auditor.targets.factory import ModelFactory
from auditor.targets.source import place
from auditor.targets.weights import file_sha256, load_weights


@dataclass(frozen=True)
class Deployed:
    """Weights of the released model; all None where only freshly trained models are audited."""

    state: dict[str, Tensor] | None = None
    sha256: str | None = None
    facts: tuple[str, ...] = ()


def deployed_weights(document: AuditDocument, factory: ModelFactory) -> Deployed:
    """Weights from the file that the settings name, or from inside a ``.pt2`` model.

    The weights of a ``.pt2`` file count as deployed only where the settings say which records trained them.

    Raises:
        TargetError: The file cannot be used; see :func:`load_weights`.
    """
    target = document.settings.target
    if target.weights is not None:
        path = document.folder / target.weights
        state, facts = load_weights(path, factory(), place(document, "target.weights"))
        return Deployed(state, file_sha256(path), tuple(facts))
    if factory.exported is None or target.data.members is None:
        return Deployed()
    state = {name: value.detach().clone() for name, value in factory().state_dict().items()}
    fact = f"the deployed weights are those inside {factory.exported.name}"
    return Deployed(state, file_sha256(factory.exported), (fact,))


def model_sha256(factory: ModelFactory) -> str:
    """Hash of the file that defines the model."""
    if factory.exported is not None:
        return file_sha256(factory.exported)
    return factory.named.sha256() if factory.named else hashlib.sha256(b"").hexdigest()
