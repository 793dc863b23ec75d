"""Every number that a reader sees is found in results.json."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from auditor.controls.status import expiry
from auditor.report.formatting import Rounding, date, number, percent, precise, quantity
from auditor.report.load import Evidence
from tests.report.page_text import read

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
TOKEN = re.compile(r"\d+(?:\.\d+)?")


def plain(text: str) -> str:
    """Text without thousands separators and with superscripts as ordinary digits apart from their base."""
    text = re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)
    text = re.sub(r"10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: "10 " + m[1].translate(SUPERSCRIPTS), text)
    return text.replace("−", "-")


def tokens(text: str) -> Counter[str]:
    """Numbers in a text."""
    return Counter(TOKEN.findall(plain(text)))


def values(node: Any) -> Iterator[Any]:
    """All leaves of a JSON value, keys included."""
    if isinstance(node, dict):
        for key, inner in node.items():
            yield key
            yield from values(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from values(inner)
    else:
        yield node


def written(value: float) -> Iterator[str]:
    """All ways in which the report may write one number of the results."""
    for rounding in Rounding:
        yield percent(value, rounding=rounding)
        yield number(value, rounding=rounding)
        for decimals in (1, 2, 3):
            yield number(value, decimals=decimals, rounding=rounding)
        yield quantity(value, "dB", rounding=rounding)
        yield quantity(value, "count", rounding=rounding)
    yield precise(value)


def counts(results: dict[str, Any]) -> Iterator[int]:
    """How many entries a list of the results has, in all and by each of its enumerated fields."""
    for rows in results.values():
        if isinstance(rows, list):
            yield len(rows)
            for keys in (("status",), ("catalogue",), ("catalogue", "status"), ("scenario",)):
                found = Counter(tuple(row.get(k) for k in keys) for row in rows if isinstance(row, dict))
                yield from found.values()
                yield len(found)
    yield from (len(node) for node in lists(results))
    for pack in ("", *{row["catalogue"] for row in results["controls"]}):
        basis = [row["basis"] for row in results["controls"] if pack in ("", row["catalogue"])]
        read_in_full, recalled = basis.count("primary-copy"), sum("memory" in text for text in basis)
        yield from (read_in_full, len(basis) - read_in_full, recalled, len(basis) - read_in_full - recalled)


def lists(node: Any) -> Iterator[list[Any]]:
    """All lists inside a JSON value."""
    if isinstance(node, dict):
        for inner in node.values():
            yield from lists(inner)
    elif isinstance(node, list):
        yield node
        for inner in node:
            yield from lists(inner)


def found_in(results: dict[str, Any]) -> set[str]:
    """All numbers that the results can give."""
    allowed: set[str] = set()
    for value in values(results):
        if isinstance(value, str):
            allowed |= set(tokens(value)) | set(tokens(date(value)))
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
            for text in written(float(value)):
                allowed |= set(tokens(text))
    return allowed | {str(n) for n in counts(results)}


@pytest.mark.parametrize("name", ["private", "no_mechanism", "failures", "nothing"])
def test_every_number_is_in_the_results(
    name: str, evidence_of: Callable[[str], Evidence], page_of: Callable[[str], str]
) -> None:
    results = json.loads(evidence_of(name).raw)
    seen = read(page_of(name))
    allowed = found_in(results) | set(tokens(str(expiry(evidence_of(name).results))))
    text = " ".join([*seen.text, *seen.spoken])
    unknown = {token for token in tokens(text) if token not in allowed and token.rstrip("0").rstrip(".") not in allowed}
    assert not unknown


def test_the_search_for_numbers_can_fail(evidence_of: Callable[[str], Evidence], page_of: Callable[[str], str]) -> None:
    allowed = found_in(json.loads(evidence_of("private").raw))
    assert "73.31" not in allowed
    assert "73.31" in tokens("".join(read(page_of("private").replace("</h1>", " 73.31 %</h1>", 1)).text))


def test_hashes_are_of_the_results(evidence_of: Callable[[str], Evidence], page_of: Callable[[str], str]) -> None:
    evidence = evidence_of("private")
    known = [evidence.results.sha256, *(v for v in values(json.loads(evidence.raw)) if isinstance(v, str))]
    shown = ["".join(seen.split()) for seen in read(page_of("private")).hashes if seen.strip()]
    assert shown
    joined = " ".join(known)
    assert all(piece in joined for piece in shown)


def test_language_file_holds_no_digit() -> None:
    from auditor.report.strings import strings

    def sentences(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from sentences(inner)
        else:
            yield node

    assert [s for s in sentences(strings().tree) if re.search(r"\d", s)] == []


def test_counts_of_people_are_whole_and_their_interval_is_rounded_outward() -> None:
    ends = (3.4, 20.1)
    assert quantity(ends[0], "count", rounding=Rounding.DOWN) == "3"
    assert quantity(ends[1], "count", rounding=Rounding.UP) == "21"
    assert quantity(12.0, "count", rounding=Rounding.DOWN) == quantity(12.0, "count", rounding=Rounding.UP) == "12"
    assert quantity(22.8, "count") == "23"
    assert quantity(0.4, "count") == "0.4"
