"""Sums of several rounds and stolen checkpoints as tensors by name and JSON, for :mod:`auditor.engine.packing`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from auditor.observations.model import LocalTraining, Privatisation, State
from auditor.observations.released import RoundView, StolenCheckpoint, SummedRounds

Series = SummedRounds | StolenCheckpoint
Under = Callable[[str], dict[str, Tensor]]
"""Prefix -> the tensors whose names start with it, without it."""


def series_tensors(seen: Series) -> dict[str, Tensor]:
    """Tensors by name; no truth among them."""
    if isinstance(seen, StolenCheckpoint):
        parts = {"sent/": seen.before, "after/": seen.after, "momentum/": seen.momentum}
        return _named({prefix: state for prefix, state in parts.items() if state is not None})
    views = enumerate(seen.rounds)
    return _named({f"rounds/{i}/{part}/": state for i, view in views for part, state in _parts(view).items()})


def series_meta(seen: Series) -> dict[str, Any]:
    """What JSON holds of it."""
    both = {"local": asdict(seen.local), "privatisation": asdict(seen.privatisation)}
    if isinstance(seen, StolenCheckpoint):
        there = {"sent": seen.before is not None, "momentum": seen.momentum is not None}
        return {"type": "checkpoint", "records": seen.records, **there, **both}
    return {
        "type": "sums",
        "kind": seen.kind,
        "asked": list(seen.asked),
        "shares": sorted(seen.shares.items()),
        "records": sorted(seen.records.items()),
        "rounds": [{"round": view.round, "cohort": list(view.cohort)} for view in seen.rounds],
        **both,
    }


def series_of(meta: Mapping[str, Any], under: Under) -> Series:
    """The observation again."""
    local, privatisation = LocalTraining(**meta["local"]), Privatisation(**meta["privatisation"])
    if meta["type"] == "checkpoint":
        sent = under("sent/") if meta["sent"] else None
        momentum = under("momentum/") if meta["momentum"] else None
        return StolenCheckpoint(sent, under("after/"), momentum, meta["records"], local, privatisation)
    rounds = tuple(
        RoundView(
            view["round"], under(f"rounds/{i}/before/"), {}, tuple(view["cohort"]), under(f"rounds/{i}/aggregate/")
        )
        for i, view in enumerate(meta["rounds"])
    )
    shares, records = dict(meta["shares"]), dict(meta["records"])
    return SummedRounds(rounds, tuple(meta["asked"]), shares, records, meta["kind"], local, privatisation)


def _parts(view: RoundView) -> dict[str, State]:
    return {"before": view.before, "aggregate": view.aggregate}


def _named(states: Mapping[str, State]) -> dict[str, Tensor]:
    return {prefix + name: tensor for prefix, state in states.items() for name, tensor in state.items()}
