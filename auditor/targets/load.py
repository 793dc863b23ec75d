"""From ``audit.yaml`` to the target: data, splits, model and weights, tried with one batch."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from auditor.config.document import AuditDocument
from auditor.core.results import SplitSummary
from auditor.core.shape import TargetShape
from auditor.learning.randomness import seeded
from auditor.observations.model import Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.targets.code import Named
from auditor.targets.deployed import deployed_weights, model_sha256
from auditor.targets.doubts import doubts_of
from auditor.targets.duplicates import content_hash
from auditor.targets.factory import PROBE
from auditor.targets.fields import Values
from auditor.targets.layouts import AS_IS
from auditor.targets.loading import Loading
from auditor.targets.losses import named_loss, per_record
from auditor.targets.prior import given_prior
from auditor.targets.probe import BATCH, Probe, probe
from auditor.targets.sizes import federation_sizes
from auditor.targets.splits import ROLES
from auditor.targets.target import Target
from auditor.targets.traits import layer_counts, model_traits
from auditor.targets.vocabulary import check_vocabulary
from auditor.targets.warnings import refuse_mixing, warnings_of


def load_target(document: AuditDocument) -> Target:
    """Load everything that is audited, and try it with one batch and one gradient.

    Raises:
        TargetError: Model, weights or data cannot be used as they are; says what to change.
    """
    target, _ = load_and_probe(document)
    return target


def load_and_probe(document: AuditDocument) -> tuple[Target, Probe]:
    """The target, and what the trial batch showed.

    Raises:
        TargetError: As :func:`load_target`.
    """
    loading = Loading(document)
    settings, rows = document.settings, loading.splits.rows
    scaled = loading.inputs.prepared(loading.accepted.layout, _reference(loading))
    everything = Records(torch.from_numpy(scaled.inputs), torch.from_numpy(loading.labels.values))
    records = {role: everything[torch.from_numpy(rows[role])] for role in ROLES}
    shared, loss_facts = _shared(loading, records["members"], scaled.preprocessing)
    deployed = deployed_weights(document, loading.accepted.factory)
    where = loading.place("target.model")
    seen = probe(
        shared,
        records["members"][:BATCH],
        state=deployed.state,
        batch_norm=settings.federation.batch_norm,
        where=where,
    )
    refuse_mixing(settings, seen, where)
    groups = _groups(loading)
    doubts = doubts_of(
        document,
        members=len(rows["members"]),
        matrix=scaled.inputs,
        columns=scaled.preprocessing.columns,
        labels=loading.labels.values,
    )
    prior = given_prior(loading, shared.shape.input_shape)
    prior_facts = (f"an adversary may have the decoder {prior.name}, with latents of {prior.latent}",) if prior else ()
    target = Target(
        model=shared,
        weights=deployed.state,
        **records,
        member_groups=groups,
        splits=_summaries(loading),
        facts=tuple(
            dict.fromkeys([*_facts(loading, shared), *scaled.facts, *loss_facts, *deployed.facts, *prior_facts])
        ),
        warnings=(*loading.splits.warnings, *warnings_of(settings, shared, seen, records, groups=groups), *doubts),
        layers=_layers(shared),
        model_name=settings.target.model,
        model_sha256=model_sha256(loading.accepted.factory),
        weights_sha256=deployed.sha256,
        private_step=_private_step(loading),
        prior=prior,
    )
    return target, seen


def _private_step(loading: Loading) -> Named | None:
    code = loading.settings.epsilon_audit.code
    if code is None:
        return None
    own = loading.named("epsilon_audit.code", code)
    own.load()
    return own


def _reference(loading: Loading) -> Values:
    """Whose statistics standardise: the population's; the non-members' where there is no population."""
    rows = loading.splits.rows
    return rows["population"] if len(rows["population"]) else rows["nonmembers"]


def _shared(loading: Loading, members: Records, preprocessing: Preprocessing) -> tuple[SharedModel, tuple[str, ...]]:
    target, factory = loading.settings.target, loading.accepted.factory
    loss = named_loss(target.loss, target.task, named=lambda: loading.named("target.loss", target.loss))
    sample = members[:PROBE]
    checked, facts = per_record(
        loss, loading.accepted.outputs[: len(sample)], sample.labels, loading.place("target.loss")
    )
    with seeded(0):
        module = factory()
    vocabulary = check_vocabulary(module, sample.inputs, loading.inputs.vocabulary, where=loading.place("target.model"))
    shape = TargetShape(
        modality=target.modality,
        task=target.task,
        classes=loading.labels.classes,
        input_shape=tuple(members.inputs.shape[1:]),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        traits=model_traits(module, sample.inputs),
        **{role: len(rows) for role, rows in loading.splits.rows.items()},
        **federation_sizes(loading.settings.federation, len(members)),
    )
    return SharedModel(
        build=factory,
        loss=checked,
        shape=shape,
        preprocessing=replace(preprocessing, vocabulary=vocabulary),
        evaluation_mode=factory.exported is not None,
    ), facts


def _layers(shared: SharedModel) -> dict[str, int]:
    with seeded(0):
        return layer_counts(shared.build())


def _groups(loading: Loading) -> Tensor | None:
    if loading.source.groups is None:
        return None
    _, ids = np.unique(loading.source.groups.astype(str), return_inverse=True)
    return torch.from_numpy(ids[loading.splits.rows["members"]].astype(np.int64))


def _summaries(loading: Loading) -> tuple[SplitSummary, ...]:
    splits = loading.splits
    return tuple(
        SplitSummary(
            name=role,
            records=len(splits.rows[role]),
            sha256=content_hash(loading.keys[splits.rows[role]]),
            drawn_by=splits.drawn_by[role],
        )
        for role in ROLES
    )


def _facts(loading: Loading, shared: SharedModel) -> list[str]:
    shape = " x ".join(map(str, shared.shape.input_shape))
    accepted = loading.accepted
    arranged = "" if accepted.layout is AS_IS else f"{accepted.layout.words}; "
    facts = [*loading.source.facts, *loading.inputs.facts, f"{arranged}a record is {shape}"]
    facts += loading.labels.facts
    if given := accepted.factory.arguments:
        facts.append("the model was built with " + ", ".join(f"{key}={value}" for key, value in given.items()))
    if accepted.factory.one_logit:
        facts.append("the model answers one logit for two classes; it is read as logits (0, z)")
    return [*facts, *loading.splits.facts]
