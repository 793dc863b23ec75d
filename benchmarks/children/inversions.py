"""One inversion, by this tool or by a plain loop over restarts, on a task that a name and numbers describe."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.gradient_matching import GradientMatching, choose
from auditor.attacks.inversion.search import Found, Search
from auditor.attacks.inversion.tableak import TabLeak, aligned_to, pooled
from auditor.attacks.inversion.unknowns import Unknowns
from auditor.core.shape import Modality
from auditor.observations.model import Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.observations.returned import Reconstruction
from tests.attacks.inversion import cases


class Problem(NamedTuple):
    model: SharedModel
    truth: Records


def picture(path: str, index: int, *, network: str) -> Problem:
    """One photograph behind the network ``rlenet32`` or ``mlp``."""
    build = cases.rlenet32 if network == "rlenet32" else cases.mlp(3072, 256, classes=10)
    shared = cases.shared_model(build, input_shape=(3, 32, 32), preprocessing=cases.cifar_preprocessing())
    return Problem(shared, cases.photo_records(path, [index]))


def rows(path: str, index: int, *, batch: int) -> Problem:
    """``batch`` rows of Adult behind an MLP of two hidden layers of 100."""
    records, columns = cases.adult(path)
    width = records.inputs.shape[1]
    shared = cases.shared_model(
        cases.mlp(width, 100, 100, classes=2), input_shape=(width,), classes=2, modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns), records=batch,
    )  # fmt: skip
    return Problem(shared, records[index * batch : (index + 1) * batch])


def problem(task: dict[str, Any]) -> Problem:
    if task["kind"] == "adult":
        return rows(task["path"], task["index"], batch=task["batch"])
    return picture(task["path"], task["index"], network=task["kind"])


def by_auditor(task: dict[str, Any]) -> dict[str, Any]:
    """The attack as a run starts it; loading is not counted."""
    model, truth = problem(task)
    update = cases.gradient_update(model, truth)
    kind = TabLeak if task["kind"] == "adult" else _Remembering
    grid = {} if task["kind"] == "adult" else {"total_variation": tuple(task["grid"])}
    attack = kind(kind.Params(iterations=task["iterations"], restarts=task["restarts"], record_gradients=None, **grid))
    once = kind(attack.params.model_copy(update={"iterations": 1}))
    once.run(update, cases.known(model), RunContext(seed=0, batched=True))  # imports and kernels are loaded now
    wall, cpu = time.perf_counter(), time.process_time()
    found = attack.run(update, cases.known(model), RunContext(seed=task["seed"], batched=True))
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    ends = getattr(attack, "ends", found.inputs[None])
    return {
        **spent,
        "quality": quality(model, truth, found.inputs),
        "all": _mean_of(model, truth, ends),
        "distance": found.objective,
    }


class _Remembering(GradientMatching):
    """Keeps every candidate's end, which an attack itself does not return."""

    ends: Tensor

    def _returned(self, found: Found, chosen: int, search: Search, rule: str) -> Reconstruction:
        self.ends = found.inputs
        return super()._returned(found, chosen, search, rule)


def _mean_of(model: SharedModel, truth: Records, ends: Tensor) -> float:
    """Mean quality of all candidates, without a choice among them."""
    return sum(quality(model, truth, end) for end in ends) / len(ends)


def by_serial_restarts(task: dict[str, Any]) -> dict[str, Any]:
    """What published code does: one restart after the other, each with Adam on autograd's double backward.

    TabLeak's loop (Vero et al., 2023) with softmax over categories, and the pooling of its restarts; written for this
    comparison. Pictures get signed steps and total variation instead. Starts and the choice among the ends are those
    of this tool, so that only the way of computing differs.
    """
    model, truth = problem(task)
    update = cases.gradient_update(model, truth)
    unknowns = Unknowns.of(model, device="cpu")
    module = cases_module(model, dict(update.before))
    goal = dict(update.update)
    _restart(module, goal, unknowns, truth, 0.0, generator=torch.Generator(), iterations=1)  # loads kernels
    wall, cpu = time.perf_counter(), time.process_time()
    grid = (0.0,) if task["kind"] == "adult" else tuple(task["grid"])
    weights = [weight for weight in grid for _ in range(task["restarts"])]
    generator = RunContext(seed=task["seed"]).generator()
    ends = [
        _restart(
            module, dict(update.update), unknowns, truth, weight, generator=generator, iterations=task["iterations"]
        )
        for weight in weights
    ]
    best = choose(torch.tensor([end.distance for end in ends]), torch.tensor(weights), attainable=0.0)
    inputs = ends[best].inputs
    if task["kind"] == "adult":
        order = sorted(range(len(ends)), key=lambda i: ends[i].distance)[: max(2, (len(ends) + 1) // 2)]
        inputs = pooled(aligned_to(torch.stack([ends[i].inputs for i in order]), inputs), unknowns)[0]
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    every = torch.stack([end.inputs for end in ends])
    return {
        **spent,
        "quality": quality(model, truth, inputs),
        "all": _mean_of(model, truth, every),
        "distance": ends[best].distance,
    }


def cases_module(model: SharedModel, state: dict[str, Tensor]) -> nn.Module:
    module = model.build().eval()
    module.load_state_dict(state)
    return module


class _End(NamedTuple):
    inputs: Tensor
    distance: float


def _restart(
    module: nn.Module,
    goal: dict[str, Tensor],
    unknowns: Unknowns,
    truth: Records,
    weight: float,
    *,
    generator: torch.Generator,
    iterations: int,
) -> _End:
    free = torch.randn(truth.inputs.shape, generator=generator).requires_grad_()
    image = unknowns.modality is Modality.IMAGE
    first = 0.1 if image else 0.2
    optimiser = torch.optim.Adam([free], lr=first)
    parameters = [parameter for _, parameter in module.named_parameters()]
    flat = torch.cat([goal[name].flatten() for name, _ in module.named_parameters()])
    best, least = free.detach().clone(), float("inf")
    for step in range(iterations):
        for group in optimiser.param_groups:
            group["lr"] = first * 0.1 ** sum(step / iterations >= at for at in (3 / 8, 5 / 8, 7 / 8))
        inputs = unknowns.decode(free)
        loss = F.cross_entropy(module(inputs), truth.labels)
        made = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, create_graph=True)])
        distance = 1 - (made @ flat) / (made.norm() * flat.norm())
        objective = distance + weight * unknowns.roughness(inputs[None]).sum()
        if float(objective.detach()) < least:
            least, best = float(objective.detach()), free.detach().clone()
        optimiser.zero_grad()
        objective.backward(inputs=[free])
        if image:
            assert free.grad is not None
            free.grad.sign_()
        optimiser.step()
        with torch.no_grad():
            unknowns.project_(free)
    found = unknowns.decode(best)
    made = torch.cat(
        [g.flatten() for g in torch.autograd.grad(F.cross_entropy(module(found), truth.labels), parameters)]
    )
    return _End(unknowns.harden(found), float(1 - (made @ flat) / (made.norm() * flat.norm())))


def quality(model: SharedModel, truth: Records, found: Tensor) -> float:
    """PSNR in dB (pictures), or the share of cells that are right under the best matching (tables)."""
    if model.modality is Modality.IMAGE:
        return float(cases.psnr(found.reshape(truth.inputs.shape), truth.inputs).mean())
    rows = aligned_to(found[None], truth.inputs)[0]
    right = []
    for column in model.preprocessing.columns:
        own, true = rows[:, column.start : column.stop], truth.inputs[:, column.start : column.stop]
        if column.kind == "categorical":
            right.append((own.argmax(1) == true.argmax(1)).float())
        else:
            right.append(((own - true).abs() <= 0.319).float().squeeze(1))
    return float(torch.stack(right).mean())


def step(kind: str, path: str, *, batch: int, candidates: int, width: int, repeats: int) -> dict[str, Any]:
    """Time of one step of the search, for the growth of its cost."""
    search, start, labels = _search(kind, path, batch=batch, candidates=candidates, width=width)
    free = start.clone().requires_grad_()

    def once() -> None:
        torch.autograd.grad(search._objective(free, labels).sum(), free)

    return {"cpu": _fastest(once, repeats)}


def _fastest(once: Callable[[], None], repeats: int) -> float:
    once()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        once()
        taken.append(time.process_time() - began)
    return min(taken)


def _search(kind: str, path: str, *, batch: int, candidates: int, width: int) -> tuple[Search, Tensor, Tensor]:
    if kind == "mlp":
        shared = cases.shared_model(cases.mlp(3072, width, classes=10), input_shape=(3, 32, 32))
    else:
        shared = cases.shared_model(cases.rlenet32, input_shape=(3, 32, 32))
    records = cases.photo_records(path, [i % 8 for i in range(batch)])
    attack = GradientMatching(GradientMatching.Params(total_variation=(0.01,), restarts=candidates))
    update = cases.gradient_update(shared, records)
    unknowns = Unknowns.of(shared, device="cpu")
    generator = torch.Generator().manual_seed(0)
    start = unknowns.start(candidates, batch, None, generator=generator)
    labels = records.labels.expand(candidates, -1)
    weights = torch.full((candidates,), 0.01)
    context = RunContext(batched=True)
    return attack._search(update, cases.known(shared), unknowns, weights, (start, labels), context), start, labels
