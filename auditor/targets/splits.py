"""Which record plays which role: member, non-member or population, with exact duplicates taken care of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from auditor.config.problems import listing, suggestion
from auditor.config.settings import DataSettings, SplitSettings
from auditor.core.errors import TargetError
from auditor.core.seeds import derive_seed
from auditor.targets.duplicates import first_of_each
from auditor.targets.fields import Values

ROLES = ("members", "nonmembers", "population")
_WORDS = {"members": "members", "nonmembers": "non-members", "population": "population"}
_SHARES = {"members": 0.4, "nonmembers": 0.4, "population": 0.2}
_POPULATION_FROM_NONMEMBERS = 1 / 3


@dataclass
class Splits:
    """Record numbers of each role.

    Attributes:
        rows: Role -> record numbers, int64.
        drawn_by: Role -> who decided, in words.
        facts, warnings: What was found and done.
    """

    rows: dict[str, Values]
    drawn_by: dict[str, str]
    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def split_records(
    keys: Values, *, data: DataSettings, column: Values | None, seed: int, where: Mapping[str, str]
) -> Splits:
    """Assign each record its role.

    Named splits are taken as they are. What is not named is drawn with a seed: 40 % members, 40 % non-members,
    20 % population; a missing population comes from the records left over, or from a third of the non-members.
    A record that occurs in two roles is removed from the weaker one.

    Args:
        keys: Digest of each record, shape ``(n,)`` bytes; equal records have equal keys.
        data: The settings of the data.
        column: Value of the split column for each record, or None.
        seed: The audit's seed.
        where: Place of each role's setting, for messages.

    Raises:
        TargetError: An unknown split, too few records, or members equal to non-members.
    """
    wanted = {role: split for role in ROLES if (split := getattr(data, role)) is not None}
    rng = np.random.default_rng(derive_seed(seed, "splits"))
    splits = _drawn_all(keys, rng, seed, column) if not wanted else _named(keys, wanted, column, rng, seed, where)
    if "population" not in splits.rows:
        _population(keys, splits, rng, seed)
    _separate(keys, splits)
    _check(splits, where)
    return splits


def _drawn_all(keys: Values, rng: np.random.Generator, seed: int, column: Values | None) -> Splits:
    rows = first_of_each(keys)
    order = rng.permutation(rows)
    ends = np.round(np.cumsum([0, *_SHARES.values()]) * len(order)).astype(int)
    parts = {role: np.sort(order[a:b]) for role, a, b in zip(ROLES, ends[:-1], ends[1:], strict=True)}
    drawn = {role: f"the tool: {share:.0%} of the records at random, seed {seed}" for role, share in _SHARES.items()}
    splits = Splits(parts, drawn)
    if repeats := len(keys) - len(rows):
        splits.facts.append(f"{repeats:,} repeated records left out before the splits were drawn")
    if column is not None:
        names = listing(_values(column)[:8])
        splits.facts.append(f"the data has splits {names}; no role names one, so roles were drawn from all records")
    return splits


def _named(
    keys: Values,
    wanted: Mapping[str, SplitSettings],
    column: Values | None,
    rng: np.random.Generator,
    seed: int,
    where: Mapping[str, str],
) -> Splits:
    free = np.ones(len(keys), dtype=bool)
    splits = Splits({}, {})
    for whole in (True, False):  # whole splits first, so that counts are drawn from what is left
        for role, split in wanted.items():
            if (split.count is None) != whole:
                continue
            pool = np.flatnonzero(free & _mask(split, column, len(keys), where[role]))
            pool = pool if whole else rng.permutation(first_of_each(keys, pool))
            if split.count is not None and split.count > len(pool):
                raise TargetError(
                    f"{where[role]}: asks for {split.count:,} records, but {len(pool):,} different ones are left.",
                    remedy="Ask for fewer, or give more data.",
                )
            rows = np.sort(pool[: split.count])
            free[rows] = False
            splits.rows[role] = rows
            splits.drawn_by[role] = _drawn_by(split, seed)
    if "members" not in splits.rows:  # only the population is named
        rest = rng.permutation(first_of_each(keys, np.flatnonzero(free)))
        splits.rows |= {"members": np.sort(rest[: len(rest) // 2]), "nonmembers": np.sort(rest[len(rest) // 2 :])}
        half = f"the tool: half of the records that are not population at random, seed {seed}"
        splits.drawn_by |= {"members": half, "nonmembers": half}
    return splits


def _drawn_by(split: SplitSettings, seed: int) -> str:
    if split.count is None:
        return f"the settings: split '{split.split}'"
    of = f" of split '{split.split}'" if split.split is not None else ""
    return f"the tool: {split.count:,} records{of} at random, seed {seed}"


def _mask(split: SplitSettings, column: Values | None, records: int, where: str) -> Values:
    if split.split is None:
        return np.ones(records, dtype=bool)
    name = str(split.split)
    if column is None:
        raise TargetError(
            f"{where}: names split '{name}', but the data has no split column or array.",
            remedy="Name it with split_by, give counts instead, or leave the roles out and let the tool draw them.",
        )
    texts = np.array([_text(value) for value in column])
    mask: Values = texts == name
    if not mask.any():
        known = _values(column)
        raise TargetError(
            f"{where}: no record has split '{name}'{suggestion(name, known) or '.'}",
            remedy=f"The splits are {listing(known[:12])}.",
        )
    return mask


def _values(column: Values) -> list[str]:
    return list(dict.fromkeys(_text(value) for value in column))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _population(keys: Values, splits: Splits, rng: np.random.Generator, seed: int) -> None:
    """The adversary's own records, where nobody named them."""
    used = np.concatenate([splits.rows["members"], splits.rows["nonmembers"]])
    left = first_of_each(keys, np.setdiff1d(np.arange(len(keys)), used))
    left = left[~np.isin(keys[left], keys[used])]
    nonmembers = splits.rows["nonmembers"]
    take = int(len(nonmembers) * _POPULATION_FROM_NONMEMBERS)
    if len(left) >= max(1, take):
        splits.rows["population"] = left
        splits.drawn_by["population"] = "the tool: all records that are neither members nor non-members"
        return
    shuffled = rng.permutation(nonmembers)
    splits.rows["population"] = np.sort(shuffled[:take])
    splits.rows["nonmembers"] = np.sort(shuffled[take:])
    splits.drawn_by["population"] = f"the tool: a third of the non-members at random, seed {seed}"
    splits.drawn_by["nonmembers"] += "; a third of it became the population"
    splits.facts.append("no population is named: a third of the non-members became the population")


def _separate(keys: Values, splits: Splits) -> None:
    """No record in two roles: members keep theirs, non-members come second, the population last."""
    before = len(splits.rows["nonmembers"])
    taken = keys[splits.rows["members"]]
    repeats = len(taken) - len(np.unique(taken))
    if repeats:
        splits.warnings.append(f"{repeats:,} members are exact repeats of other members; they were kept, as trained")
    for role in ("nonmembers", "population"):
        rows = splits.rows[role]
        unique = first_of_each(keys, rows)
        kept = unique[~np.isin(keys[unique], taken)]
        if shared := len(unique) - len(kept):
            others = "members" if role == "nonmembers" else "members or non-members"
            splits.warnings.append(f"{shared:,} {_WORDS[role]} equal {others} exactly; removed from the {_WORDS[role]}")
        if repeated := len(rows) - len(unique):
            splits.warnings.append(f"{repeated:,} {_WORDS[role]} are exact repeats; one of each was kept")
        splits.rows[role] = kept
        taken = np.concatenate([taken, keys[kept]])
    if before and not len(splits.rows["nonmembers"]):
        raise TargetError(
            "Every non-member is also a member, so membership cannot be tested.",
            remedy="Name records that did not train the model in target.data.nonmembers.",
        )


def _check(splits: Splits, where: Mapping[str, str]) -> None:
    for role in ("members", "nonmembers"):
        if len(splits.rows[role]) < 2:
            raise TargetError(
                f"{where[role]}: {len(splits.rows[role])} different {_WORDS[role]} are left; at least 2 are needed.",
                remedy="Give more data, or name other splits.",
            )
    if not len(splits.rows["population"]):
        splits.warnings.append("there is no population: attacks that need records of their own do not apply")
