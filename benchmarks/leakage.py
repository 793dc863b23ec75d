"""How much of its records an update gives away along one axis at a time, beside what a guess achieves.

Gradient matching (cosine distance, grid of prior weights, no selection by the truth) on CIFAR-10 pictures and a small
convolutional network. From a common starting point (untrained network, one record, plain gradient) one thing changes:
epochs that the network was trained, records behind the update, noise after clipping, bits of a coordinate, share of
coordinates that is kept. Each point says how many records were recovered (better than chance explains) and their
mean PSNR, with 95 % intervals, and the floor: the best of three guesses without an update.

    python -m benchmarks leakage
    python -m benchmarks.leakage [trained] [batch] [noise] [quantise] [prune] --data FOLDER --out FOLDER

Writes ``leakage.csv`` and ``leakage.png``. Times are CPU seconds of this process.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.config.settings import UpdateSettings
from auditor.core.measurement import Measurement
from auditor.learning.functional import FunctionalModel
from auditor.learning.randomness import seeded
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import Privatisation
from auditor.observations.records import Records
from auditor.observations.released import ClientUpdate
from auditor.simulation.compression import compress
from benchmarks.measuring import Options
from tests.attacks.inversion import cases

RECORDS = 8
TRAINING = 2000
POPULATION = 400
STEPS = 300
State = dict[str, Tensor]
Change = Callable[[ClientUpdate], ClientUpdate]


@dataclass(frozen=True)
class Point:
    """One point of one curve: recovered share and mean PSNR, each with interval and floor."""

    axis: str
    setting: str
    position: float
    n: int
    recovered: float
    recovered_low: float
    recovered_high: float
    recovered_floor: float
    psnr: float
    psnr_low: float
    psnr_high: float
    psnr_floor: float
    gradient_norm: float
    seconds: float

    @property
    def at_floor(self) -> bool:
        """True where the attack is not better than a guess beyond the interval of its mean."""
        return self.recovered == 0 and self.psnr_low <= self.psnr_floor


class Laboratory:
    """Pictures, network, and the attack on updates made from them."""

    def __init__(self, folder: Path, iterations: int) -> None:
        arrays = np.load(folder / "images" / "cifar10_lossless.npz", allow_pickle=False)
        wanted = TRAINING + POPULATION
        values = torch.from_numpy(arrays["train_images"][:wanted]).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (cases.CIFAR_MEAN, cases.CIFAR_STD))
        records = Records((values - mean) / std, torch.from_numpy(arrays["train_labels"][:wanted]).long())
        self.members, self.population = records[:TRAINING], records[TRAINING:]
        self.model = cases.shared_model(
            cases.rlenet32, input_shape=(3, 32, 32), preprocessing=cases.cifar_preprocessing()
        )
        self.iterations = iterations
        self.fresh = FunctionalModel(self.model).initial_state(0)

    def trained(self, epochs: int) -> State:
        """The network after so many epochs on the members (SGD with momentum 0.9, batches of 64)."""
        with seeded(0):
            module = self.model.build()
        module.load_state_dict(self.fresh)
        optimiser = torch.optim.SGD(module.parameters(), 0.02, momentum=0.9)
        generator = torch.Generator().manual_seed(0)
        for _ in range(epochs):
            for batch in torch.randperm(TRAINING, generator=generator).split(64):
                optimiser.zero_grad()
                nn.functional.cross_entropy(module(self.members.inputs[batch]), self.members.labels[batch]).backward()
                optimiser.step()
        return {name: value.detach().clone() for name, value in module.state_dict().items()}

    def point(
        self,
        axis: str,
        setting: str,
        *,
        position: float,
        state: State | None = None,
        size: int = 1,
        change: Change = lambda update: update,
    ) -> Point:
        """Attack updates of ``size`` records until all of them were behind one update."""
        began, outputs, truths, norms = time.process_time(), [], [], []
        for k in range(max(1, RECORDS // size)):
            truth = self.members[k * size : (k + 1) * size]
            update = change(cases.gradient_update(self.model, truth, state=state or self.fresh))
            norms.append(_norm(update.update))
            attack = GradientMatching(GradientMatching.Params(iterations=self.iterations, record_gradients=None))
            known = cases.known(self.model, self.population)
            outputs.append(attack.run(update, known, RunContext(seed=1000 + k, batched=size == 1)))
            truths.append(truth)
        found = {
            m.metric: m
            for m in measure_reconstruction(outputs, truths, population=self.population, model=self.model, seed=0)
        }
        seconds = time.process_time() - began
        return Point(
            axis, setting, position, found["psnr"].n, *_four(found["recovered_share"]), *_four(found["psnr"]),
            float(np.mean(norms)), seconds,
        )  # fmt: skip


def _four(found: Measurement) -> tuple[float, float, float, float]:
    assert found.value is not None
    assert found.interval is not None
    assert found.floor is not None
    return found.value, found.interval.low, found.interval.high, found.floor


def _norm(values: State) -> float:
    return float(torch.stack([value.square().sum() for value in values.values()]).sum().sqrt())


def trained(lab: Laboratory) -> Iterator[Point]:
    """Epochs that the network was trained before the update, on the same records."""
    for epochs in (0, 1, 5, 20):
        yield lab.point("trained", f"{epochs} epochs", position=epochs, state=lab.trained(epochs))


def batch(lab: Laboratory) -> Iterator[Point]:
    """Records behind the update."""
    for size in (1, 4, 8, 16):
        yield lab.point("batch", f"{size} records", position=size, size=size)


def noise(lab: Laboratory) -> Iterator[Point]:
    """Standard deviation of Gaussian noise on each coordinate, after clipping to norm 1."""
    for k, deviation in enumerate((0.0, 1e-4, 1e-3, 1e-2, 1e-1)):

        def change(update: ClientUpdate, deviation: float = deviation) -> ClientUpdate:
            factor = min(1.0, 1.0 / _norm(dict(update.update)))
            generator = torch.Generator().manual_seed(11)
            values = {
                name: value * factor + deviation * torch.randn(value.shape, generator=generator)
                for name, value in update.update.items()
            }
            known = Privatisation(clipping_norm=1.0, clipped="client", noise_std=deviation)
            return replace(update, update=values, privatisation=known)

        yield lab.point("noise", f"sigma {deviation:g}", position=k, change=change)


def quantise(lab: Laboratory) -> Iterator[Point]:
    """Bits of each coordinate."""
    for k, bits in enumerate((None, 8, 4, 1)):
        yield lab.point(
            "quantise", f"{bits or 32} bits", position=k, change=_compressed(UpdateSettings(quantise_bits=bits))
        )


def prune(lab: Laboratory) -> Iterator[Point]:
    """Share of coordinates that is kept, the largest; then the same by an adversary who ignores it."""
    for k, share in enumerate((None, 0.1, 0.01)):
        yield lab.point("prune", f"{share or 1:.0%} kept", position=k, change=_compressed(UpdateSettings(top_k=share)))
    naive = _compressed(UpdateSettings(top_k=0.1), told=False)
    yield lab.point("prune", "10% kept, ignored", position=3, change=naive)


def _compressed(settings: UpdateSettings, *, told: bool = True) -> Change:
    """The update after compression, which the adversary knows of where ``told``."""

    def change(update: ClientUpdate) -> ClientUpdate:
        known = Privatisation(kept_fraction=settings.top_k or 1.0, quantise_bits=settings.quantise_bits)
        values = compress(dict(update.update), settings)
        return replace(update, update=values, privatisation=known if told else Privatisation())

    return change


TITLES = {
    "trained": "epochs trained before",
    "batch": "records behind the update",
    "noise": "noise after clipping to 1",
    "quantise": "bits of a coordinate",
    "prune": "coordinates that are kept",
}
AXES = {"trained": trained, "batch": batch, "noise": noise, "quantise": quantise, "prune": prune}


def draw(points: list[Point], path: Path) -> None:
    """One panel for each axis: mean PSNR with its interval, the floor dashed, the recovered share beside each point."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(point.axis for point in points))
    figure, panels = pyplot.subplots(1, len(names), figsize=(2.9 * len(names), 2.9), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        row = [point for point in points if point.axis == name]
        at = np.arange(len(row))
        mean = np.array([point.psnr for point in row])
        ends = np.array([[point.psnr - point.psnr_low, point.psnr_high - point.psnr] for point in row]).T
        aside = np.array(["ignored" in point.setting for point in row])  # another adversary, not the next value
        panel.plot(at[~aside], mean[~aside], color="#0072B2", linewidth=1)
        panel.errorbar(at, mean, yerr=ends.clip(0), fmt="o", color="#0072B2", capsize=2, linewidth=1)
        panel.plot(at, [point.psnr_floor for point in row], "--", color="#D55E00", linewidth=1)
        for x, point in zip(at, row, strict=True):
            panel.annotate(f"{point.recovered:.0%}", (x, point.psnr), (4, 5), textcoords="offset points", fontsize=7)
        panel.set_xticks(at, [point.setting for point in row], rotation=35, ha="right", fontsize=7)
        panel.set_title(TITLES[name], fontsize=8)
        panel.margins(x=0.15)
    panels[0][0].set_ylabel("mean PSNR, dB", fontsize=8)
    panels[0][0].annotate(
        "no attack", (0, points[0].psnr_floor), (0, -10), textcoords="offset points", fontsize=7, color="#D55E00"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def line(point: Point) -> str:
    end = "  at the floor" if point.at_floor else ""
    return (
        f"{point.axis:9}{point.setting:18}{point.n:3}  {point.recovered:5.2f} [{point.recovered_low:.2f}, "
        f"{point.recovered_high:.2f}] floor {point.recovered_floor:.2f}  {point.psnr:6.1f} dB "
        f"[{point.psnr_low:.1f}, {point.psnr_high:.1f}] floor {point.psnr_floor:.1f}  norm {point.gradient_norm:8.2g}  "
        f"{point.seconds:5.0f} s{end}"
    )


def run(options: Options) -> None:
    """All axes; ``quick`` takes ten steps."""
    measured(
        list(AXES), options.shared / "data", options.results / "leakage", iterations=10 if options.quick else STEPS
    )


def measured(axes: list[str], data: Path, out: Path, *, iterations: int) -> None:
    """Print one line for each point, and write table and figure."""
    if not (data / "images" / "cifar10_lossless.npz").exists():
        print(f"not run: {data} has no images/cifar10_lossless.npz; name its folder with --data")
        return
    torch.set_num_threads(1)
    lab, points = Laboratory(data, iterations), list[Point]()
    print("axis     setting             n  recovered [95 %] floor       mean PSNR [95 %] floor")
    for name in axes:
        for point in AXES[name](lab):
            points.append(point)
            print(line(point), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "leakage.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)])
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)
    draw(points, out / "leakage.png")
    print(f"{sum(point.seconds for point in points):.0f} CPU s; leakage.csv and leakage.png are in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="leakage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("axes", nargs="*", choices=[*AXES, []], help="all of them by default")
    shared = Path(os.environ.get("AUDITOR_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder with images/cifar10_lossless.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/leakage"), help="where table and figure go")
    parser.add_argument("--iterations", type=int, default=STEPS)
    chosen = parser.parse_args()
    measured(chosen.axes or list(AXES), chosen.data, chosen.out, iterations=chosen.iterations)


if __name__ == "__main__":
    main()
