"""Gradient matching by breaching; run with the Python of an environment that holds it (see ``benchmarks.peers``).

    python breaching_child.py TASK.npz RESULT.npz

It imports nothing of auditor, so that a peer runs with its own versions. The task holds picture and label, the number
of iterations, the weight of total variation, restarts and seed; the result the reconstruction and CPU seconds.
"""

import importlib.machinery
import importlib.util
import resource
import sys
import time
import types

import numpy as np
import torch
from torch import nn


def without_vision_operators() -> None:
    """breaching imports torchvision for data sets; its compiled operators, which may not fit torch, are not used."""
    registered = torch.library.register_fake

    def register(name, *args, **kwargs):
        if isinstance(name, str) and name.startswith("torchvision::"):
            return lambda function: function
        return registered(name, *args, **kwargs)

    torch.library.register_fake = register
    if importlib.util.find_spec("lmdb") is None:  # a cache of data sets, imported but not used here
        sys.modules["lmdb"] = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("lmdb", None))


def rlenet32() -> nn.Module:
    """The network of ``tests/attacks/inversion/cases.py``."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip


def attacker(breaching, model: nn.Module, loss: nn.Module, task):
    config = breaching.get_attack_config("invertinggradients")
    config.optim.max_iterations = int(task["iterations"])
    config.regularization.total_variation.scale = float(task["total_variation"])
    config.restarts.num_trials = int(task["restarts"])
    return breaching.attacks.prepare_attack(model, loss, config)


def main() -> None:
    torch.set_num_threads(1)
    without_vision_operators()
    import breaching

    task = np.load(sys.argv[1])
    torch.manual_seed(0)
    model, loss = rlenet32().eval(), nn.CrossEntropyLoss()
    inputs, labels = torch.from_numpy(task["inputs"]), torch.from_numpy(task["labels"])
    gradients = torch.autograd.grad(loss(model(inputs), labels), list(model.parameters()))
    meta = types.SimpleNamespace(
        shape=tuple(inputs.shape[1:]), modality="vision", mean=task["mean"].tolist(), std=task["std"].tolist()
    )
    payload = [{"parameters": [p.detach() for p in model.parameters()], "buffers": [], "metadata": meta}]
    told = {"num_data_points": len(inputs), "labels": labels, "local_hyperparams": None}
    shared = [{"gradients": [g.detach() for g in gradients], "buffers": None, "metadata": told}]
    attack = attacker(breaching, model, loss, task)
    attack.reconstruct(payload, shared, {}, dryrun=True)  # one iteration, so that loading is not counted
    torch.manual_seed(int(task["seed"]))
    began, cpu = time.perf_counter(), time.process_time()
    found, _ = attack.reconstruct(payload, shared, {})
    np.savez(
        sys.argv[2],
        found=found["data"].detach().numpy(),
        gradients=np.concatenate([g.flatten().numpy() for g in gradients]),
        cpu=time.process_time() - cpu,
        wall=time.perf_counter() - began,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        torch=torch.__version__,
    )


if __name__ == "__main__":
    main()
