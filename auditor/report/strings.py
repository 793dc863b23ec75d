"""The report's sentences, read from one file per language."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from markupsafe import Markup, escape

from auditor.resources import folder


@dataclass(frozen=True)
class Strings:
    """Sentences by dotted key. A missing key is a bug and raises ``KeyError``."""

    language: str
    tree: dict[str, Any]

    def get(self, key: str) -> Any:
        """The raw entry: a sentence, a list or a mapping."""
        node: Any = self.tree
        for part in key.split("."):
            try:
                node = node[part]
            except (KeyError, TypeError):
                raise KeyError(f"strings.{self.language}.yaml has no {key!r}") from None
        return node

    def has(self, key: str) -> bool:
        """Whether the language has ``key``."""
        try:
            self.get(key)
        except KeyError:
            return False
        return True

    def plain(self, key: str, **values: object) -> str:
        """The sentence with its values, as plain text."""
        text = str(self.get(key))
        return text.format_map({name: str(value) for name, value in values.items()}) if values else text

    def html(self, key: str, **values: object) -> Markup:
        """The sentence with its values escaped, as markup."""
        text = escape(self.get(key))
        return Markup(str(text).format_map({k: escape(v) for k, v in values.items()}) if values else str(text))

    def word(self, group: str, value: object) -> str:
        """The word for an enumerated value; the value itself where the language has none."""
        key = f"words.{group}.{value}"
        return self.plain(key) if self.has(key) else str(value).replace("_", " ")


@cache
def strings(language: str = "en") -> Strings:
    """The sentences of ``language``."""
    path = folder("templates/report") / f"strings.{language}.yaml"
    return Strings(language, yaml.safe_load(path.read_text(encoding="utf-8")))
