"""Measured figures of table reconstruction: the Adult census, MLP 100-100, untrained."""

import time
from pathlib import Path

import pytest

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.tableak import TabLeak
from auditor.core.shape import Modality
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import Preprocessing
from tests.attacks.inversion import cases

pytestmark = [pytest.mark.papers, pytest.mark.timeout(1200)]

UPDATES, SIZE = 6, 8


def test_batches_of_eight(shared_data: Path) -> None:
    records, columns = cases.adult(str(shared_data / "data" / "tabular" / "adult.csv.gz"))
    width = records.inputs.shape[1]
    model = cases.shared_model(
        cases.mlp(width, 100, 100, classes=2), input_shape=(width,), classes=2, modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns),
    )  # fmt: skip
    population, truths, outputs = records[2000:], [], []
    began = time.process_time()
    for k in range(UPDATES):
        truths.append(records[k * SIZE : (k + 1) * SIZE])
        update = cases.gradient_update(model, truths[-1])
        outputs.append(TabLeak(TabLeak.Params()).run(update, cases.known(model, population), RunContext(seed=k)))
    seconds = (time.process_time() - began) / UPDATES
    found = {m.metric: m for m in measure_reconstruction(outputs, truths, population=population, model=model, seed=0)}
    cells = found["cell_accuracy"]
    print(
        f"TabLeak B=8: {cells.value:.3f} of cells ({cells.floor_is}); {seconds:.1f} CPU s; {found['recovered_share']}"
    )
    assert cells.value >= 0.91
    assert "random population records 0.5" in cells.floor_is
    assert seconds <= 5
