"""Unit outputs as safetensors: tensors by name, the rest as one JSON text. No pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from auditor.core.errors import ExitCode, StoreError
from auditor.engine.packing_series import series_meta, series_of, series_tensors
from auditor.observations.model import LocalTraining, Privatisation, State
from auditor.observations.records import Records
from auditor.observations.released import Aggregate, ClientUpdate, Queries, StolenCheckpoint, SummedRounds
from auditor.observations.returned import (
    AttackOutput,
    Attributions,
    InferredShare,
    MembershipScores,
    Reconstruction,
    RecoveredLabels,
)

if TYPE_CHECKING:
    from auditor.simulation.observed import ObservedUpdate


@dataclass(frozen=True)
class Packed:
    """Tensors and the JSON beside them."""

    tensors: Mapping[str, Tensor]
    meta: Mapping[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose names start with ``prefix``, without it."""
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}


def pack(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """The bytes of an output; equal inputs give equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    seen: set[int] = set()
    for name, tensor in plain.items():
        if tensor.untyped_storage().data_ptr() in seen:
            plain[name] = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
    text = json.dumps(meta, sort_keys=True)
    return bytes(safetensors.torch.save(plain, metadata={"json": text}))


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(
            f"{path} is damaged ({str(error).splitlines()[0]}).",
            remedy=f"Delete {path.parent} and run again; only this unit is done again.",
            exit_code=ExitCode.INCOMPLETE,
        ) from error


def unpack(path: Path, *, prefixes: tuple[str, ...] = ("",)) -> Packed:
    """Read an output, or only its tensors whose names start with one of ``prefixes``.

    Raises:
        StoreError: when the file is damaged.
    """
    with _reading(path) as file:
        names = [name for name in file.keys() if name.startswith(prefixes)]  # noqa: SIM118  not a dict
        return Packed({name: file.get_tensor(name).clone() for name in names}, json.loads(file.metadata()["json"]))


# Updates. ``before`` is kept once: all updates of a unit start from the same state.

_OBSERVED = ("before/", "update/", "labels", "buffers/", "shown/", "rounds/", "sent/", "after/", "momentum/")
"""Parts of an observation; ``truth.`` is not among them."""


def pack_updates(observed: list["ObservedUpdate"]) -> bytes:
    """Observed updates with the records behind them."""
    tensors: dict[str, Tensor] = {}
    meta: list[dict[str, Any]] = []
    before: State | None = None
    for i, item in enumerate(observed):
        seen, truth = item.observation, item.truth
        tensors |= {f"{i}/truth.inputs": truth.inputs, f"{i}/truth.labels": truth.labels}
        if isinstance(seen, SummedRounds | StolenCheckpoint):
            tensors |= _named(f"{i}/", series_tensors(seen))
            meta.append(series_meta(seen))
            continue
        if before is None:
            before = seen.before
            tensors |= _named("before/", seen.before)
        elif any(not _same(seen.before[name], before[name]) for name in seen.before):
            tensors |= _named(f"{i}/before/", seen.before)
        tensors |= _named(f"{i}/update/", seen.update)
        if seen.labels is not None:
            tensors[f"{i}/labels"] = seen.labels
        if isinstance(seen, ClientUpdate) and seen.buffers_after is not None:
            tensors |= _named(f"{i}/buffers/", seen.buffers_after)
        if isinstance(seen, ClientUpdate) and seen.shown is not None:
            tensors |= _named(f"{i}/shown/", seen.shown)
        meta.append(_update_meta(seen))
    return pack(tensors, {"updates": meta})


def _same(one: Tensor, other: Tensor) -> bool:
    return one is other or bool((one == other).all())


def _named(prefix: str, state: State) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def _update_meta(seen: ClientUpdate | Aggregate) -> dict[str, Any]:
    return {
        "type": "aggregate" if isinstance(seen, Aggregate) else "client",
        "round": seen.round,
        "kind": seen.kind,
        "records": seen.records,
        "clients": seen.clients if isinstance(seen, Aggregate) else 1,
        "local": asdict(seen.local),
        "privatisation": asdict(seen.privatisation),
        "buffers": isinstance(seen, ClientUpdate) and seen.buffers_after is not None,
        "shown": isinstance(seen, ClientUpdate) and seen.shown is not None,
    }


def unpack_update(path: Path, index: int) -> ClientUpdate | Aggregate | SummedRounds | StolenCheckpoint:
    """One observed update or series, without the truth: that part of the file is not even read."""
    own = tuple(f"{index}/{part}" for part in _OBSERVED)
    packed = unpack(path, prefixes=("before/", *own))
    meta = packed.meta["updates"][index]
    if meta["type"] in ("sums", "checkpoint"):
        return series_of(meta, lambda prefix: packed.under(f"{index}/{prefix}"))
    before = packed.under(f"{index}/before/") or packed.under("before/")
    shared = {
        "round": meta["round"],
        "before": before,
        "update": packed.under(f"{index}/update/"),
        "kind": meta["kind"],
        "records": meta["records"],
        "local": LocalTraining(**meta["local"]),
        "privatisation": Privatisation(**meta["privatisation"]),
        "labels": packed.tensors.get(f"{index}/labels"),
    }
    if meta["type"] == "aggregate":
        return Aggregate(clients=meta["clients"], **shared)
    buffers = packed.under(f"{index}/buffers/") if meta["buffers"] else None
    shown = packed.under(f"{index}/shown/") if meta["shown"] else None
    return ClientUpdate(buffers_after=buffers, shown=shown, **shared)


def unpack_truth(path: Path, index: int) -> Records:
    """The records behind one update; for ``measure`` alone."""
    packed = unpack(path, prefixes=(f"{index}/truth.",))
    return Records(packed.tensors[f"{index}/truth.inputs"], packed.tensors[f"{index}/truth.labels"])


# What attacks return


def pack_output(output: AttackOutput, meta: Mapping[str, Any]) -> bytes:
    """An attack's output with its notes."""
    notes = {"notes": list(output.notes), **meta}
    match output:
        case MembershipScores():
            agreement = {} if output.agreement is None else {"agreement": output.agreement}
            return pack({"scores": output.scores, **agreement}, {"type": "scores", **notes})
        case RecoveredLabels():
            return pack({"counts": output.counts}, {"type": "labels", **notes})
        case Reconstruction():
            optional = {"labels": output.labels, "confidence": output.confidence, "prior": output.prior_samples}
            tensors = {"inputs": output.inputs, **{k: v for k, v in optional.items() if v is not None}}
            facts = {"objective": _number(output.objective), "iterations": output.iterations}
            return pack(tensors, {"type": "records", **facts, **notes})
        case Attributions():
            choices = torch.tensor(output.choices, dtype=torch.int64)
            return pack({"scores": output.scores, "choices": choices}, {"type": "attributions", **notes})
        case InferredShare():
            shares = torch.tensor([output.share, output.guess], dtype=torch.float64)
            return pack({"shares": shares}, {"type": "share", **notes})


def _number(value: float | None) -> float | str | None:
    """Non-finite numbers as text: JSON has none."""
    return value if value is None or value - value == 0 else str(value)


def unpack_output(path: Path) -> tuple[AttackOutput, Mapping[str, Any]]:
    """An attack's output and what was noted beside it."""
    packed = unpack(path)
    meta, tensors = packed.meta, packed.tensors
    notes = tuple(meta["notes"])
    output: AttackOutput
    match meta["type"]:
        case "scores":
            output = MembershipScores(tensors["scores"], notes, tensors.get("agreement"))
        case "labels":
            output = RecoveredLabels(tensors["counts"], notes)
        case "attributions":
            output = Attributions(tensors["scores"], tuple(tensors["choices"].tolist()), notes)
        case "share":
            share, guess = tensors["shares"].tolist()
            output = InferredShare(share, guess, notes)
        case _:
            objective = None if meta["objective"] is None else float(meta["objective"])
            output = Reconstruction(
                tensors["inputs"],
                tensors.get("labels"),
                tensors.get("confidence"),
                objective,
                meta["iterations"],
                notes,
                tensors.get("prior"),
            )
    return output, meta


def pack_queries(queries: Queries, population_outputs: Tensor, population_losses: Tensor) -> bytes:
    """What the audited model answers on candidates and population."""
    tensors = {
        "outputs": queries.outputs,
        "losses": queries.losses,
        "labels": queries.labels,
        "population_outputs": population_outputs,
        "population_losses": population_losses,
    }
    return pack(tensors, {"type": "queries"})


def unpack_queries(packed: Packed) -> Queries:
    """The part of :func:`pack_queries` that answers about candidates."""
    return Queries(packed.tensors["outputs"], packed.tensors["losses"], packed.tensors["labels"])
