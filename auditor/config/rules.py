"""What settings must say together: a unit, an adjacency or a sampler that is not stated is refused, never guessed."""

from collections.abc import Iterator
from dataclasses import dataclass

from auditor.config.problems import Problem, listing, suggestion
from auditor.config.settings import (
    AuditSettings,
    DataSettings,
    FederationSettings,
    PrivacySettings,
    SplitSettings,
    TargetSettings,
)
from auditor.core.shape import Modality, Task

LOSSES = ("default", "cross_entropy", "mse")
_STATED = {
    "protects": "say whose contribution is protected: 'record' or 'client'",
    "adjacency": "say what neighbouring data sets are: 'add_or_remove', 'replace_one' or 'zero_out'",
    "sampling": "say how the code really draws the protected unit: 'poisson', 'shuffled', 'fixed_size' or 'full'",
    "noise_multiplier": "give the standard deviation of the noise in units of the clipping norm",
    "clipping": "give the bound on one contribution, e.g. clipping: {norm: 1.0}",
    "delta": "give delta, well below one over the number of protected units (records or clients), e.g. 1.0e-5",
}


@dataclass(frozen=True)
class Blocks:
    """The blocks of a file that could be read; None where one has errors of its own."""

    target: TargetSettings | None = None
    federation: FederationSettings | None = None
    privacy: PrivacySettings | None = None


def rules(blocks: Blocks) -> Iterator[Problem]:
    """Every broken rule between settings of the blocks that could be read."""
    if blocks.privacy:
        yield from _privacy(blocks.privacy)
    if blocks.federation:
        yield from _participation(blocks.federation)
        yield from _partition(blocks.federation)
        yield from _local(blocks.federation)
        yield from _aggregation(blocks.federation)
        yield from _defences(blocks.federation)
    if blocks.target:
        yield from _target(blocks.target)
        yield from _splits(blocks.target.data)


def membership_rules(settings: AuditSettings, scenarios_with_membership: tuple[str, ...]) -> Iterator[Problem]:
    """Deployed weights: only people know which records trained them, so the tool must be told."""
    data = settings.target.data
    if settings.target.weights is not None and settings.trainings > 1:
        yield Problem("trainings", "the weights of target.weights are one training; remove one of the two")
    if settings.target.weights is None or not scenarios_with_membership:
        return
    for name in ("members", "nonmembers"):
        if getattr(data, name) is None:
            yield Problem(
                f"target.data.{name}",
                f"required, because target.weights is given and scenario '{scenarios_with_membership[0]}' tests "
                f"membership; name the records that {'trained' if name == 'members' else 'did not train'} these "
                f"weights, e.g. {name}: {{split: {'train' if name == 'members' else 'test'}}}",
            )


def _privacy(privacy: PrivacySettings) -> Iterator[Problem]:
    if privacy.mechanism == "none":
        for name in ("noise_multiplier", "clipping"):
            if getattr(privacy, name):
                yield Problem(
                    f"privacy.{name}", "has no meaning with mechanism 'none'; remove it, or name the mechanism"
                )
        return
    for name, remedy in _STATED.items():
        if getattr(privacy, name) is None:
            yield Problem(f"privacy.{name}", f"required with mechanism '{privacy.mechanism}'; {remedy}")
    if privacy.clipping is None:
        return
    for name in ("quantile", "count_noise"):
        given = getattr(privacy.clipping, name) is not None
        if privacy.clipping.kind == "adaptive" and not given:
            yield Problem(f"privacy.clipping.{name}", "required with kind 'adaptive'")
        if privacy.clipping.kind != "adaptive" and given:
            yield Problem(f"privacy.clipping.{name}", "belongs to kind 'adaptive'; remove it, or write kind: adaptive")


def _participation(federation: FederationSettings) -> Iterator[Problem]:
    who = federation.participation
    where = "federation.participation"
    needed = {"poisson": "rate", "fixed_size": "count"}.get(who.scheme)
    examples = {"rate": "rate: 0.25 (the chance of each client to take part in a round)", "count": "count: 10"}
    for name in ("rate", "count"):
        given = getattr(who, name) is not None
        if name == needed and not given:
            yield Problem(f"{where}.{name}", f"required with scheme '{who.scheme}'; e.g. {examples[name]}")
        if name != needed and given:
            yield Problem(f"{where}.{name}", f"is not used by scheme '{who.scheme}'; remove it, or change the scheme")
    if who.count is not None and who.count > federation.clients:
        yield Problem(
            f"{where}.count", f"{who.count} clients in a round, but the federation has {federation.clients} in all"
        )


def _defences(federation: FederationSettings) -> Iterator[Problem]:
    """An audit that leaves out a defence in silence would not be of this federation."""
    for defence in federation.defences:
        name = defence if isinstance(defence, str) else ", ".join(defence)
        yield Problem(
            "federation.defences",
            f"'{name}' cannot be simulated yet; remove it and say in audit.purpose that it was not tested",
        )


def _partition(federation: FederationSettings) -> Iterator[Problem]:
    how = federation.partition
    where = "federation.partition"
    needed = {"dirichlet": "alpha", "by_column": "column"}.get(how.scheme)
    remedy = {
        "alpha": "e.g. alpha: 0.5 (smaller is more uneven)",
        "column": "name the column that says which client a record belongs to",
    }
    for name in ("alpha", "column"):
        given = getattr(how, name) is not None
        if name == needed and not given:
            yield Problem(f"{where}.{name}", f"required with scheme '{how.scheme}'; {remedy[name]}")
        if name != needed and given:
            yield Problem(f"{where}.{name}", f"is not used by scheme '{how.scheme}'; remove it, or change the scheme")


def _local(federation: FederationSettings) -> Iterator[Problem]:
    local = federation.local
    if federation.algorithm == "fedprox" and local.proximal == 0:
        yield Problem("federation.local.proximal", "required with algorithm 'fedprox'; e.g. proximal: 0.01")
    if federation.algorithm != "fedprox" and local.proximal > 0:
        yield Problem("federation.local.proximal", f"is not used by algorithm '{federation.algorithm}'; remove it")
    if federation.algorithm == "fedsgd" and local.epochs > 1:
        yield Problem(
            "federation.local.epochs", "'fedsgd' sends one gradient of one batch; write epochs: 1, or use 'fedavg'"
        )


def _aggregation(federation: FederationSettings) -> Iterator[Problem]:
    secure = federation.aggregation.secure
    rule = federation.aggregation.rule
    if secure.enabled and rule != "mean":
        yield Problem(
            "federation.aggregation.rule",
            f"secure aggregation gives the server only the sum, from which it cannot compute '{rule}'; "
            "write rule: mean, or secure: {enabled: false}",
        )
    if secure.enabled and secure.threshold is not None and secure.threshold > federation.clients:
        yield Problem(
            "federation.aggregation.secure.threshold",
            f"{secure.threshold} clients must take part, but the federation has {federation.clients} in all",
        )


def _target(target: TargetSettings) -> Iterator[Problem]:
    data = target.data
    if target.loss not in LOSSES and ":" not in target.loss:
        hint = suggestion(target.loss, LOSSES)
        yield Problem("target.loss", f"received '{target.loss}'; allowed: {listing(LOSSES)} or FILE.py:callable{hint}")
    fitting = {Task.CLASSIFICATION: "cross_entropy", Task.REGRESSION: "mse", Task.LANGUAGE_MODEL: "cross_entropy"}
    if target.loss in ("cross_entropy", "mse") and target.loss != fitting[target.task]:
        yield Problem(
            "target.loss", f"'{target.loss}' does not fit task '{target.task.value}'; write '{fitting[target.task]}'"
        )
    if target.task == Task.LANGUAGE_MODEL and target.modality != Modality.TEXT:
        yield Problem(
            "target.task", f"'language_model' is for modality 'text'; the modality is '{target.modality.value}'"
        )
    elif target.task != Task.LANGUAGE_MODEL and data.labels is None and _names_its_labels(data):
        yield Problem("target.data.labels", f"required for task '{target.task.value}'; name the array or column")
    if ":" not in target.model and not target.model.endswith(".pt2"):
        yield Problem(
            "target.model",
            f"received '{target.model}'; allowed: FILE.py:callable, package.module:callable or a .pt2 file of "
            "torch.export",
        )
    for name, modality in (("tokenizer", "text"), ("max_tokens", "text"), ("categorical", "tabular")):
        if getattr(data, name) and target.modality.value not in (modality, "multimodal"):
            yield Problem(
                f"target.data.{name}", f"is for modality '{modality}'; the modality is '{target.modality.value}'"
            )
    if data.normalise and not isinstance(data.normalise, str) and len(data.normalise.mean) != len(data.normalise.std):
        yield Problem(
            "target.data.normalise",
            f"{len(data.normalise.mean)} means but {len(data.normalise.std)} standard deviations; give one of each "
            "for every channel",
        )


def _names_its_labels(data: DataSettings) -> bool:
    """Folders name labels by sub-folder and callables by key; files must be told."""
    return data.path.lower().removesuffix(".gz").endswith((".npz", ".csv", ".tsv", ".parquet", ".jsonl"))


def _splits(data: DataSettings) -> Iterator[Problem]:
    named: dict[str, SplitSettings] = {
        name: split for name in ("members", "nonmembers", "population") if (split := getattr(data, name))
    }
    for name, split in named.items():
        if split.split is None and split.count is None:
            yield Problem(f"target.data.{name}", f"empty; say which records, e.g. {name}: {{split: train}}")
    for name, partner in (("members", "nonmembers"), ("nonmembers", "members")):
        if name in named and partner not in named:
            yield Problem(
                f"target.data.{partner}", f"required, because {name} is given; e.g. {partner}: {{split: test}}"
            )
    for first, second in (("members", "nonmembers"), ("members", "population"), ("nonmembers", "population")):
        if first not in named or second not in named:
            continue
        one, two = named[first], named[second]
        if one.split is not None and one.split == two.split and (one.count is None or two.count is None):
            yield Problem(
                f"target.data.{second}",
                f"is the same split '{two.split}' as {first}; a record can play one role only: name another split, "
                "or give both a count",
            )
