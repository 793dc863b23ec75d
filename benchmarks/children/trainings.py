"""Reference models of a sample audit, trained in one way."""

import time
from pathlib import Path
from typing import Any, Literal

import torch

from auditor.config.load import load_audit
from auditor.config.settings import FederationSettings
from auditor.core.seeds import derive_seed
from auditor.engine.paths import measure_paths
from auditor.learning.choice import Choice
from auditor.simulation.lockstep import train_federations
from auditor.targets.load import load_target


def train(
    audit: str, *, how: Literal["stacked", "serial"], first: int, models: int, rounds: int, **changed: Any
) -> dict[str, Any]:
    """CPU and wall seconds of ``models`` trainings from number ``first`` on; loading is not counted."""
    document = load_audit(Path(audit))
    target, settings = load_target(document), document.settings
    federation = settings.federation.model_copy(update={"rounds": min(rounds, settings.federation.rounds), **changed})
    generator = torch.Generator().manual_seed(derive_seed(settings.audit.seed, "benchmark"))
    size = len(target.members)
    rows = [torch.randperm(size, generator=generator)[: size // 2] for _ in range(first + models)][first:]

    def trained(federation: FederationSettings, some: list[torch.Tensor]) -> list[torch.Tensor]:
        done = train_federations(
            federation,
            settings.privacy,
            target.model,
            target.members,
            some,
            seeds=list(range(first, first + len(some))),
            how=Choice(how, "benchmark"),
        )
        return [next(iter(one.state.values())) for one in done.results]

    trained(federation.model_copy(update={"rounds": 1}), rows[:2])  # loads kernels
    wall, cpu = time.perf_counter(), time.process_time()
    last = trained(federation, rows)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {**spent, "sum": float(sum(weights.double().sum() for weights in last))}


def chosen(audit: str) -> dict[str, Any]:
    """What the probe of a run chooses, and why."""
    document = load_audit(Path(audit))
    paths = measure_paths(load_target(document), document.settings, device="cpu", references=16)
    return {"how": paths.references, "because": paths.references_because}
