from dataclasses import replace
from pathlib import Path

import pytest
import torch

from auditor.core.errors import StoreError
from auditor.core.grants import Grant
from auditor.engine.packing import (
    pack,
    pack_output,
    pack_updates,
    unpack,
    unpack_output,
    unpack_truth,
    unpack_update,
)
from auditor.learning.functional import FunctionalModel
from auditor.observations.returned import (
    AttackOutput,
    Attributions,
    MembershipScores,
    Reconstruction,
    RecoveredLabels,
)
from auditor.simulation.observe import ObservedUpdate, observe_updates
from tests.engine.targets import digits_target, document


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "output.safetensors"
    path.write_bytes(content)
    return path


def observed(view: str) -> list[ObservedUpdate]:
    target, settings = digits_target(), document(Path()).settings
    return observe_updates(
        settings.federation,
        settings.privacy,
        target.model,
        target.members,
        state=FunctionalModel(target.model).initial_state(0),
        view=view,  # type: ignore[arg-type]
        count=2,
        seed=1,
        grants=frozenset({Grant.LABELS, Grant.BATCH_NORM_STATISTICS}),
    )


@pytest.mark.parametrize("view", ["client", "aggregate"])
def test_updates_come_back_as_they_were(tmp_path: Path, view: str) -> None:
    made = observed(view)
    path = saved(tmp_path, pack_updates(made))
    for i, item in enumerate(made):
        back = unpack_update(path, i)
        assert type(back) is type(item.observation)
        assert (back.kind, back.records, back.local) == (
            item.observation.kind,
            item.observation.records,
            item.observation.local,
        )
        assert back.before.keys() == item.observation.before.keys()
        assert all(back.before[name].equal(item.observation.before[name]) for name in back.before)
        assert all(back.update[name].equal(item.observation.update[name]) for name in item.observation.update)
        assert back.labels is not None
        assert item.observation.labels is not None
        assert back.labels.equal(item.observation.labels)
        assert unpack_truth(path, i).inputs.equal(item.truth.inputs)


def test_a_common_state_is_kept_once(tmp_path: Path) -> None:
    names = unpack(saved(tmp_path, pack_updates(observed("client")))).tensors
    assert not any(name.startswith("1/before/") for name in names)


def test_different_states_are_kept_apart(tmp_path: Path) -> None:
    first, second = observed("client")
    moved = {name: tensor + 1 for name, tensor in second.observation.before.items()}
    second = replace(second, observation=replace(second.observation, before=moved))
    path = saved(tmp_path, pack_updates([first, second]))
    name = next(iter(moved))
    assert unpack_update(path, 0).before[name].equal(first.observation.before[name])
    assert unpack_update(path, 1).before[name].equal(moved[name])


def test_the_adversary_reads_no_truth(tmp_path: Path) -> None:
    """What an attack receives has no tensor equal to the records behind the update."""
    made = observed("client")
    back = unpack_update(saved(tmp_path, pack_updates(made)), 0)
    tensors = [*back.before.values(), *back.update.values()]
    assert not any(tensor.shape == made[0].truth.inputs.shape for tensor in tensors)


@pytest.mark.parametrize(
    "output",
    [
        MembershipScores(torch.randn(5), ("a note",)),
        RecoveredLabels(torch.tensor([1, 0, 2])),
        Attributions(torch.randn(4, 3), (0, 2, 5), ("a note",)),
        Reconstruction(torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.rand(2), 0.5, 7, ("x",)),
        Reconstruction(torch.empty(0, 1, 8, 8), objective=float("inf")),
    ],
)
def test_outputs_come_back_as_they_were(tmp_path: Path, output: AttackOutput) -> None:
    back, _ = unpack_output(saved(tmp_path, pack_output(output, {"cut": False})))
    assert type(back) is type(output)
    for name, value in vars(output).items():
        other = getattr(back, name)
        assert value.equal(other) if isinstance(value, torch.Tensor) else value == other


def test_equal_content_gives_equal_bytes() -> None:
    tensor = torch.randn(3, 4)
    shared = {"b": tensor, "a": tensor[1:], "c": tensor.t()}
    copied = {name: value.clone() for name, value in reversed(shared.items())}
    assert pack(shared, {"x": 1, "y": 2}) == pack(copied, {"y": 2, "x": 1})


def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = saved(tmp_path, pack({"a": torch.zeros(4)}, {})[:-3])
    with pytest.raises(StoreError, match=r"is damaged.*only this unit is done again"):
        unpack(path)
