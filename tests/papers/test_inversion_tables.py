"""Measured figures of table reconstruction: the Adult census, MLP 100-100, untrained."""

import time
from pathlib import Path
from typing import Any

import pytest

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.table_span import TableSpan
from auditor.attacks.inversion.tableak import TabLeak
from auditor.core.shape import Modality
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.observations.model import Preprocessing
from tests.attacks.inversion import cases

pytestmark = [pytest.mark.papers, pytest.mark.timeout(1200)]

FULL = {"iterations": 1500, "restarts": 30, "record_gradients": None}
"""The paper's number of starts; the default budget is for audits."""


@pytest.mark.parametrize(
    ("size", "updates", "params", "least", "random", "seconds"),
    [(8, 6, {}, 0.91, "random population records 0.5", 5), (32, 10, FULL, 0.67, "random population records 0.6", 120)],
)
def test_batches(
    shared_data: Path, size: int, updates: int, params: dict[str, Any], least: float, random: str, seconds: float
) -> None:
    """Cells within tolerance, beside those of random rows under the same assignment."""
    records, columns = cases.adult(str(shared_data / "data" / "tabular" / "adult.csv.gz"))
    width = records.inputs.shape[1]
    model = cases.shared_model(
        cases.mlp(width, 100, 100, classes=2), input_shape=(width,), classes=2, modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns),
    )  # fmt: skip
    population, truths, outputs = records[2000:], [], []
    began = time.process_time()
    for k in range(updates):
        truths.append(records[k * size : (k + 1) * size])
        update = cases.gradient_update(model, truths[-1])
        attack = TabLeak(TabLeak.Params(**params))
        outputs.append(attack.run(update, cases.known(model, population), RunContext(seed=k)))
    used = (time.process_time() - began) / updates
    found = {m.metric: m for m in measure_reconstruction(outputs, truths, population=population, model=model, seed=0)}
    cells = found["cell_accuracy"]
    print(
        f"TabLeak B={size}: {cells.value:.3f} of cells {cells.interval} ({cells.floor_is}); {used:.1f} CPU s; "
        f"{found['recovered_share']}"
    )
    assert cells.value >= least
    assert random in cells.floor_is
    assert used <= seconds


@pytest.mark.parametrize(("size", "updates", "least"), [(8, 6, 0.99), (32, 10, 0.99)])
def test_rows_of_a_batch_are_exact(shared_data: Path, size: int, updates: int, least: float) -> None:
    """The same updates as above, by the span of the first layer's gradient."""
    records, columns = cases.adult(str(shared_data / "data" / "tabular" / "adult.csv.gz"))
    width = records.inputs.shape[1]
    model = cases.shared_model(
        cases.mlp(width, 100, 100, classes=2), input_shape=(width,), classes=2, modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns),
    )  # fmt: skip
    population, truths, outputs, returned = records[2000:], [], [], 0
    began = time.process_time()
    for k in range(updates):
        truths.append(records[k * size : (k + 1) * size])
        update = cases.gradient_update(model, truths[-1])
        found = TableSpan(TableSpan.Params()).run(update, cases.known(model, population), RunContext(seed=k))
        returned += len(found.inputs)
        outputs.append(found)
    used = (time.process_time() - began) / updates
    measured = measure_reconstruction(outputs, truths, population=population, model=model, seed=0)
    exact = next(m for m in measured if m.metric == "exact_row_share")
    print(f"Span, B={size}: {exact.value:.3f} of rows {exact.interval} exact, {returned} returned; {used:.1f} CPU s")
    assert exact.value is not None
    assert exact.value >= least
    assert used <= 10
