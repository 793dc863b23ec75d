"""One question of a verification, with its answer; and where two values differ."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One question with its answer.

    Attributes:
        name: What was checked; empty where ``note`` is about the checks that follow.
        differs: What differs; empty where nothing does.
        skipped: Why it could not be checked; empty where it was.
        note: What else to know where nothing differs.
    """

    name: str
    differs: tuple[str, ...] = ()
    skipped: str = ""
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it was checked and nothing differs."""
        return not self.differs and not self.skipped


def differences(left: Any, right: Any, path: str) -> Iterator[str]:
    """Where two JSON values differ, with both values."""
    match left, right:
        case dict(), dict():
            for key in sorted(left.keys() | right.keys()):
                yield from differences(left.get(key), right.get(key), f"{path}.{key}")
        case list(), list():
            if len(left) != len(right):
                yield f"{path}: {len(left)} entries, {len(right)} expected"
            for index, (one, other) in enumerate(zip(left, right, strict=False)):
                yield from differences(one, other, f"{path}[{index}]")
        case _ if left != right:
            yield f"{path}: {_short(left)}, {_short(right)} expected"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 90 else text[:89] + "…"
