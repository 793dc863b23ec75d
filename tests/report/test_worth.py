"""What the model is worth stands beside a constant answer."""

from auditor.core.results import Results
from auditor.report.worth import no_better_than_constant, worth_rows
from tests import results_builder as build


def with_utility(**utility: float) -> Results:
    """A run whose model has these figures."""
    run = build.results()
    return run.model_copy(update={"target": run.target.model_copy(update={"utility": utility})})


def test_accuracy_stands_beside_the_commonest_class_and_its_records() -> None:
    run = with_utility(
        accuracy_nonmembers=0.77, commonest_class_nonmembers=0.76, records_nonmembers=4000.0, loss_nonmembers=0.5
    )
    accuracy, loss = worth_rows(run)
    assert (accuracy.name, accuracy.value) == ("Accuracy nonmembers", "77\u202f%")
    assert (accuracy.records, accuracy.baseline) == ("4\u202f000", "76\u202f%")
    assert (loss.records, loss.baseline) == ("4\u202f000", "–")


def test_a_model_no_better_than_a_constant_answer_is_called_so() -> None:
    def found(accuracy: float, records: float) -> bool:
        return no_better_than_constant(
            with_utility(accuracy_nonmembers=accuracy, commonest_class_nonmembers=0.76, records_nonmembers=records)
        )

    assert found(0.70, 4000.0)
    assert found(0.77, 4000.0)  # 1.5 standard errors above
    assert not found(0.80, 4000.0)
    assert found(0.80, 100.0)
    assert not no_better_than_constant(with_utility(accuracy_nonmembers=0.1))
