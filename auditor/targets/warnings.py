"""What limits an audit of this target, in sentences; free of data."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from auditor.config.settings import AuditSettings
from auditor.core.errors import TargetError
from auditor.core.shape import Task
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.targets.probe import Probe

_NEEDED = {0.01: 1_000, 0.001: 10_000}
"""False-positive rate -> non-members for which at least 10 false positives are expected."""


def warnings_of(
    settings: AuditSettings, shared: SharedModel, seen: Probe, records: Mapping[str, Records], *, groups: Tensor | None
) -> Iterator[str]:
    """Warnings that follow from the trial batch and the sizes of splits and clients."""
    yield from _records(records)
    yield from _classes(shared, records["members"])
    if seen.probabilities and settings.target.task is Task.CLASSIFICATION:
        yield "the model returns probabilities, while cross-entropy takes logits; training on them is slow and odd"
    if seen.without_gradient:
        yield f"no gradient reaches {len(seen.without_gradient)} parameters: {_few(seen.without_gradient)}"
    if seen.mixes_records and settings.privacy.protects == "record":
        yield "records of a batch influence each other in training, so a bound on single records does not cover them"
    yield from _clients(settings, shared, records, groups)
    yield from _sample(settings, len(records["members"]))


def _sample(settings: AuditSettings, members: int) -> Iterator[str]:
    privacy, people = settings.privacy, settings.audit.organisation.subjects
    if privacy.protects != "record" or people is None or people <= members:
        return
    if privacy.override is None or privacy.override.records is None:
        yield (
            f"{people:,} people are declared and {members:,} records are trained on here; epsilon is that of the "
            f"{members:,}, and of more records it is smaller: privacy.override.records names the real number"
        )


def _clients(
    settings: AuditSettings, shared: SharedModel, records: Mapping[str, Records], groups: Tensor | None
) -> Iterator[str]:
    clients = settings.federation.clients
    found = clients if groups is None else len(set(groups.tolist()))
    if found != clients:
        yield f"the partition column has {found:,} values among the members, but federation.clients is {clients:,}"
    per_client = shared.shape.records_per_client
    if len(records["members"]) < settings.federation.clients:
        yield (
            f"{settings.federation.clients:,} clients share {len(records['members']):,} member records, "
            "so some clients have none"
        )
    elif per_client < settings.federation.local.batch_size:
        yield (
            f"clients hold about {per_client} records, fewer than local.batch_size "
            f"{settings.federation.local.batch_size}; the whole client is one batch"
        )


def refuse_mixing(settings: AuditSettings, seen: Probe, where: str) -> None:
    """DP-SGD bounds the gradient of a single record, which does not exist where records mix.

    Raises:
        TargetError: The model mixes the records of a batch while the mechanism protects records.
    """
    if seen.mixes_records and settings.privacy.mechanism == "dp_sgd" and settings.privacy.protects == "record":
        raise TargetError(
            f"{where}: a layer such as BatchNorm mixes the records of a batch, so DP-SGD cannot bound a single record.",
            remedy="Use GroupNorm or LayerNorm instead, or write federation.batch_norm: eval if clients train so.",
        )


def _records(records: Mapping[str, Records]) -> Iterator[str]:
    nonmembers = len(records["nonmembers"])
    lacking = [f"{rate:.1%} needs {needed:,}" for rate, needed in _NEEDED.items() if nonmembers < needed]
    if lacking:
        yield (
            f"{nonmembers:,} non-members are too few for claims of membership at low false-positive rates: "
            f"{' and '.join(lacking)}"
        )


def _classes(shared: SharedModel, members: Records) -> Iterator[str]:
    if shared.task is Task.REGRESSION and float(members.labels.abs().max()) > 1_000:
        yield "targets exceed 1,000 and are taken as they are; training on unscaled targets often diverges"
    if shared.task is not Task.CLASSIFICATION:
        return
    counts = torch.bincount(members.labels, minlength=shared.shape.classes)
    rare = int(((counts > 0) & (counts < 10)).sum())
    if rare:
        yield f"{rare} of {shared.shape.classes} classes have fewer than 10 members; figures by class say little"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
