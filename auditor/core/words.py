"""What the words of the tool and of its report mean, from one file: ``templates/words.en.yaml``."""

import re
from functools import cache
from typing import NamedTuple

import yaml

from auditor.resources import folder

FILE = "words.en.yaml"


class Entry(NamedTuple):
    """One entry.

    Attributes:
        names: Ways to write it; the first is the usual one.
        says: What it means.
    """

    names: tuple[str, ...]
    says: str


def entry_of(word: str) -> Entry | None:
    """The entry of a word; None where there is none. Capitals, spaces, hyphens and underscores make no difference."""
    return _by_name().get(plain(word))


@cache
def entries() -> tuple[Entry, ...]:
    """All entries, in the order of the file."""
    value = yaml.safe_load((folder("templates") / FILE).read_text(encoding="utf-8"))
    return tuple(
        Entry((name, *entry.get("also", ())), " ".join(entry["says"].split())) for name, entry in value.items()
    )


def plain(word: str) -> str:
    """A word as it is looked up."""
    return re.sub(r"[\s_\-‐‑–’']+", " ", word.casefold()).strip()


@cache
def _by_name() -> dict[str, Entry]:
    return {plain(name): entry for entry in entries() for name in entry.names}
