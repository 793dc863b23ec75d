"""Read ``audit.yaml`` and scenario files; every problem of a file is reported at once, with line and column."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from auditor import resources
from auditor.config.document import AuditDocument
from auditor.config.problems import Problem, listing, printed, problems_of, suggestion
from auditor.config.rules import Blocks, membership_rules, rules
from auditor.config.scenario import Scenario
from auditor.config.settings import (
    AuditSettings,
    FederationSettings,
    PrivacySettings,
    Settings,
    TargetSettings,
    with_clipping,
)
from auditor.config.sweeps import sweep_rules
from auditor.config.yaml_tree import Tree, read_yaml
from auditor.core.errors import AuditorError, SettingsError

Block = TypeVar("Block", bound=BaseModel)


class _TwoBlocks(Settings):
    """What accounting needs of a file."""

    federation: FederationSettings
    privacy: PrivacySettings


@dataclass(frozen=True)
class BlocksDocument:
    """The blocks ``federation`` and ``privacy`` of a file, for accounting without a target.

    Attributes:
        positions: As in :class:`AuditDocument`.
    """

    path: Path
    federation: FederationSettings
    privacy: PrivacySettings
    positions: dict[str, str]


def load_audit(path: str | Path) -> AuditDocument:
    """Read and check an audit file.

    Raises:
        AuditorError: The file cannot be read.
        SettingsError: All problems of the file, each ``file:line:column: path: sentence``.
    """
    path = Path(path)
    tree = _with_short_forms(read_yaml(path))
    settings = _checked(tree, AuditSettings, known=AuditSettings)
    testing = _membership_scenarios(settings, path.resolve().parent)
    if problems := [*membership_rules(settings, testing), *sweep_rules(settings)]:
        raise SettingsError(printed(problems, tree))
    return AuditDocument(path=path, settings=settings, positions=tree.positions, text=tree.text)


def load_blocks(path: str | Path) -> BlocksDocument:
    """Read ``federation`` and ``privacy`` alone; the other blocks may be absent and are not checked.

    Raises:
        AuditorError: The file cannot be read.
        SettingsError: All problems of the two blocks.
    """
    tree = _with_short_forms(read_yaml(Path(path)))
    if isinstance(tree.value, dict):
        others = AuditSettings.model_fields.keys() - _TwoBlocks.model_fields.keys()
        tree = replace(tree, value={key: value for key, value in tree.value.items() if key not in others})
    blocks = _checked(tree, _TwoBlocks, known=AuditSettings)
    return BlocksDocument(Path(path), blocks.federation, blocks.privacy, tree.positions)


def available_scenarios() -> list[str]:
    """Names of the built-in scenarios."""
    return sorted(file.stem for file in resources.folder("scenarios").glob("*.yaml"))


def load_scenario(name_or_path: str, *, relative_to: Path) -> Scenario:
    """A built-in scenario by name, or the user's own by path (relative to the folder of the audit file).

    Raises:
        AuditorError: There is no such scenario.
        SettingsError: All problems of the scenario's file.
    """
    names = available_scenarios()
    if name_or_path in names:
        file = resources.folder("scenarios") / f"{name_or_path}.yaml"
    else:
        file = (relative_to / name_or_path).expanduser()
        if not file.is_file():
            raise AuditorError(
                f"scenarios: there is no scenario '{name_or_path}'{suggestion(name_or_path, names) or '.'}",
                remedy=f"Built in are {listing(names)}; your own is a path to a YAML file.",
            )
    tree = read_yaml(file)
    if isinstance(tree.value, dict):
        tree.value.setdefault("name", file.stem)
    return _checked(tree, Scenario, known=Scenario)


def _membership_scenarios(settings: AuditSettings, folder: Path) -> tuple[str, ...]:
    """Scenarios that test nothing but the model's answers; one that cannot be read is reported where it is used.

    Where a scenario also attacks updates, the plan leaves out what needs to know who trained the weights, and says so.
    """
    found = []
    for name in settings.scenarios:
        try:
            scenario = load_scenario(name, relative_to=folder)
        except AuditorError:
            continue
        families = {attack.partition("/")[0] for attack in scenario.attacks}
        if "membership" in families and "inversion" not in families:
            found.append(scenario.name)
    return tuple(found)


def _with_short_forms(tree: Tree) -> Tree:
    """``clipping_norm: 1.0`` written out, keeping the place where it was written."""
    privacy = tree.value.get("privacy") if isinstance(tree.value, dict) else None
    if not isinstance(privacy, dict) or (written_out := with_clipping(privacy)) is privacy:
        return tree
    place = tree.positions["privacy.clipping_norm"]
    positions = {**tree.positions, "privacy.clipping": place, "privacy.clipping.norm": place}
    return replace(tree, value={**tree.value, "privacy": written_out}, positions=positions)


def _checked(tree: Tree, model: type[Block], *, known: type[BaseModel]) -> Block:
    """The value as ``model``, or every problem at once."""
    if not isinstance(tree.value, dict):
        raise SettingsError([f"{tree.name}:1:1: the file must hold settings such as `audit:`, not {_kind(tree.value)}"])
    problems: list[Problem] = []
    settings: Block | None = None
    try:
        settings = model.model_validate(tree.value)
    except ValidationError as error:
        problems += problems_of(error, known, tree.value)
    wrong = {problem.path for problem in problems}
    problems += [problem for problem in rules(_blocks(tree.value, wrong)) if not _touches(problem.path, wrong)]
    lines = [*tree.problems, *printed(problems, tree)]
    if lines or settings is None:
        raise SettingsError(sorted(lines, key=lambda line: _line_and_column(line.removeprefix(f"{tree.name}:"))))
    return settings


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a single value"


def _blocks(value: dict[str, Any], wrong: set[str]) -> Blocks:
    """The blocks that can be read once the wrong settings are left out, so that the rules speak of the rest."""
    return Blocks(
        target=_block(TargetSettings, value, "target", wrong=wrong),
        federation=_block(FederationSettings, value, "federation", wrong=wrong),
        privacy=_block(PrivacySettings, value, "privacy", wrong=wrong),
    )


def _block(model: type[Block], value: dict[str, Any], name: str, *, wrong: set[str]) -> Block | None:
    try:
        return model.model_validate(_without(value.get(name), name, wrong))
    except ValidationError:
        return None


def _without(value: Any, path: str, wrong: set[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: _without(inner, f"{path}.{key}", wrong) for key, inner in value.items() if f"{path}.{key}" not in wrong
    }


def _touches(path: str, wrong: set[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.") for other in wrong)


def _line_and_column(rest: str) -> tuple[int, int]:
    row, column, _ = rest.split(":", 2)
    return int(row), int(column)
