"""What pydantic found wrong, as sentences with a place: what was received, what is allowed, what was meant."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from auditor.config.yaml_tree import Tree

_HINTS = {
    "privacy.delta": "choose it well below one over the number of protected units (records or clients), e.g. 1.0e-5",
    "target.data.normalise.std": "give the standard deviation of each channel",
}


@dataclass(frozen=True)
class Problem:
    """One thing to mend: dotted path of the setting, and the sentence after it."""

    path: str
    sentence: str


def suggestion(received: str, allowed: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where one of the allowed names is close, else nothing."""
    close = difflib.get_close_matches(received, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def listing(names: Iterable[str]) -> str:
    """``'a', 'b' or 'c'``."""
    quoted = [f"'{name}'" for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def shown(value: Any) -> str:
    """A received value, short enough for one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def problems_of(error: ValidationError, model: type[BaseModel], value: Any) -> list[Problem]:
    """Every error of ``value`` as one problem a path; branches of a union are merged."""
    by_path: dict[str, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_path.setdefault(_path(details, value), []).append(details)
    merged = []
    for path, group in by_path.items():
        received = _at(value, path)
        inside = any(other.startswith(f"{path}.") for other in by_path)
        if inside and isinstance(received, dict | list):
            continue
        merged.append(Problem(path, _sentence(path, group, model=model, received=received)))
    return merged


def printed(problems: Iterable[Problem], tree: Tree) -> list[str]:
    """``file:line:column: path: sentence``, in the order of the file."""
    lines = [(tree.where(problem.path), problem) for problem in problems]
    lines.sort(key=lambda line: tuple(map(int, line[0].rsplit(":", 2)[1:])))
    return [f"{place}: {problem.path}: {problem.sentence}" for place, problem in lines]


def _path(details: ErrorDetails, value: Any) -> str:
    """The location without the names of union branches that pydantic puts in."""
    parts: list[str] = []
    location = details["loc"]
    for index, part in enumerate(location):
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if inside:
            value = value[part]
            parts.append(str(part))
        elif details["type"] == "missing" and index == len(location) - 1:
            parts.append(str(part))
    return ".".join(parts)


def _at(value: Any, path: str) -> Any:
    for part in path.split(".") if path else []:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list):
            value = value[int(part)]
    return value


def _sentence(path: str, group: Sequence[ErrorDetails], *, model: type[BaseModel], received: Any) -> str:
    kinds = {details["type"] for details in group}
    if "extra_forbidden" in kinds:
        return _unknown(path, model)
    if "missing" in kinds:
        return "required and missing" + _allowed_values(path, model)
    options = [name for details in group if details["type"] == "literal_error" for name in _expected(details)]
    options += [name for details in group if details["type"] == "enum" for name in _expected(details)]
    if options:
        other = " or a list" if "tuple_type" in kinds else ""
        hint = suggestion(str(received), options)
        return f"received {shown(received)}; allowed: {listing(options)}{other}{hint}"
    sentences = dict.fromkeys(_plain(details, received) for details in group)
    hint = f"; {_HINTS[path]}" if path in _HINTS else ""
    return " or ".join(sentences) + hint


def _unknown(path: str, model: type[BaseModel]) -> str:
    *parents, key = path.split(".")
    holder = _model_at(model, parents)
    names = list(holder.model_fields) if holder else []
    hint = suggestion(key, names)
    return "not a setting" + (hint or (f"; allowed here: {', '.join(names)}" if names else ""))


def _allowed_values(path: str, model: type[BaseModel]) -> str:
    *parents, key = path.split(".")
    holder = _model_at(model, parents)
    field = holder.model_fields.get(key) if holder else None
    options = [o for o in get_args(field.annotation) if isinstance(o, str)] if field else []
    return f"; allowed: {listing(options)}" if options else ""


def _model_at(model: type[BaseModel], parts: Sequence[str]) -> type[BaseModel] | None:
    """The settings class that holds the key after ``parts``."""
    current: type[BaseModel] | None = model
    for part in parts:
        if part.isdigit():
            continue
        field = current.model_fields.get(part) if current else None
        current = _model_in(field.annotation) if field else None
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _expected(details: ErrorDetails) -> list[str]:
    text = str(details.get("ctx", {}).get("expected", ""))
    return [name.strip().strip("'") for name in text.replace(" or ", ", ").split(", ")]


def _plain(details: ErrorDetails, received: Any) -> str:
    context = details.get("ctx", {})
    got = f"; received {shown(received)}"
    match details["type"]:
        case "greater_than":
            return f"must be greater than {context['gt']:g}{got}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}{got}"
        case "less_than":
            return f"must be less than {context['lt']:g}{got}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}{got}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number{got}"
        case "float_type" | "float_parsing":
            return f"must be a number{got}"
        case "finite_number":
            return f"must be a finite number{got}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false{got}"
        case "string_type":
            return f"must be a text{got}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "tuple_type" | "list_type" | "frozen_set_type" | "set_type":
            return f"must be a list{got}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping of settings{got}"
        case "value_error":
            return str(context.get("error", details["msg"]))
        case _:
            return f"{details['msg'][:1].lower()}{details['msg'][1:]}{got}"
