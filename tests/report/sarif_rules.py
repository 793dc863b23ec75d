"""What SARIF 2.1.0 (OASIS Standard, 27 March 2020) asks of the objects that the export uses.

The committee's own JSON schema comes with no Python package that the tests could use, so this states, section by
section of the specification, which properties each object must have and may have, and what their values are. It covers
the objects of this project's export alone; an object or property that it does not know is a problem.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Rule = Callable[[Any, str], Iterator[str]]


def text(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        yield f"{at}: not a text that says something"


def boolean(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{at}: not true or false"


def index(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int) or value < -1:
        yield f"{at}: not an index"


def one_of(*allowed: str) -> Rule:
    def check(value: Any, at: str) -> Iterator[str]:
        if value not in allowed:
            yield f"{at}: {value!r} is none of {', '.join(allowed)}"

    return check


def matching(pattern: str) -> Rule:
    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            yield f"{at}: {value!r} is not of the form asked for"

    return check


def each(rule: Rule, *, unique: bool = False) -> Rule:
    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{at}: not an array"
            return
        if unique and any(one == other for k, one in enumerate(value) for other in value[:k]):
            yield f"{at}: an element stands there twice"
        for k, inner in enumerate(value):
            yield from rule(inner, f"{at}[{k}]")

    return check


def texts_by_name(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: not an object"
        return
    for name, inner in value.items():
        yield from text(inner, f"{at}.{name}")


def bag(value: Any, at: str) -> Iterator[str]:
    """3.8: a property bag holds anything; only its tags are texts."""
    if not isinstance(value, dict):
        yield f"{at}: not an object"
    elif "tags" in value:
        yield from each(text, unique=True)(value["tags"], f"{at}.tags")


@dataclass(frozen=True)
class Object:
    """An object: ``known`` properties with their rules; of ``needs`` all, and of ``any_of`` at least one."""

    known: dict[str, Rule]
    needs: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()

    def __call__(self, value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{at}: not an object"
            return
        yield from (f"{at}: lacks {name}" for name in self.needs if name not in value)
        if self.any_of and not set(self.any_of) & value.keys():
            yield f"{at}: has none of {', '.join(self.any_of)}"
        for name, inner in value.items():
            rule = bag if name == "properties" else self.known.get(name)
            yield from rule(inner, f"{at}.{name}") if rule else (f"{at}: {name} is no property of it",)


URI = matching(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
TIME = matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""3.9: a time in UTC ends in Z."""

MESSAGE = Object({"text": text, "markdown": text, "id": text}, any_of=("text", "id"))
MULTIFORMAT = Object({"text": text, "markdown": text}, needs=("text",))
ARTIFACT = Object({"uri": URI, "uriBaseId": text, "index": index}, any_of=("uri", "index"))
PHYSICAL = Object({"artifactLocation": ARTIFACT}, any_of=("artifactLocation",))
LOGICAL = Object({"name": text, "fullyQualifiedName": text, "kind": text})
LOCATION = Object({"physicalLocation": PHYSICAL, "logicalLocations": each(LOGICAL, unique=True), "message": MESSAGE})
SUPPRESSION = Object(
    {
        "kind": one_of("inSource", "external"),
        "status": one_of("accepted", "underReview", "rejected"),
        "justification": text,
        "guid": text,
    },
    needs=("kind",),
)
RULE = Object(
    {"id": text, "name": text, "shortDescription": MULTIFORMAT, "fullDescription": MULTIFORMAT}, needs=("id",)
)
COMPONENT = Object({"name": text, "version": text, "rules": each(RULE, unique=True)}, needs=("name",))
TOOL = Object({"driver": COMPONENT}, needs=("driver",))
INVOCATION = Object(
    {"executionSuccessful": boolean, "startTimeUtc": TIME, "endTimeUtc": TIME}, needs=("executionSuccessful",)
)
RESULT = Object(
    {
        "ruleId": text,
        "ruleIndex": index,
        "kind": one_of("notApplicable", "pass", "fail", "review", "open", "informational"),
        "level": one_of("none", "note", "warning", "error"),
        "message": MESSAGE,
        "locations": each(LOCATION),
        "fingerprints": texts_by_name,
        "suppressions": each(SUPPRESSION, unique=True),
    },
    needs=("message",),
)
RUN = Object({"tool": TOOL, "invocations": each(INVOCATION), "results": each(RESULT)}, needs=("tool",))
LOG = Object({"$schema": URI, "version": one_of("2.1.0"), "runs": each(RUN)}, needs=("version", "runs"))


def problems(log: Any) -> list[str]:
    """Everything in which ``log`` breaks the specification; empty where nothing does."""
    found = list(LOG(log, "log"))
    return found or [problem for k, run in enumerate(log["runs"]) for problem in _between(run, f"log.runs[{k}]")]


def _between(run: dict[str, Any], at: str) -> Iterator[str]:
    """What several properties of a run say together."""
    rules, results = run["tool"]["driver"].get("rules", []), run.get("results", [])
    for k, result in enumerate(results):
        where = f"{at}.results[{k}]"
        if result.get("kind", "fail") != "fail" and result.get("level", "warning") != "none":
            yield f"{where}: 3.27.10: only a failure has a level"
        place = result.get("ruleIndex", -1)
        if place >= len(rules) or (place >= 0 and rules[place]["id"] != result.get("ruleId")):
            yield f"{where}: 3.27.6: ruleIndex is not the place of ruleId"
        if not result.get("ruleId") and place < 0:
            yield f"{where}: 3.27.5: names no rule"
    if 0 < sum("suppressions" in result for result in results) < len(results):
        yield f"{at}: 3.27.23: all results say whether they are suppressed, or none"
