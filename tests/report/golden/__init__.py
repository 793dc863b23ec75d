"""Recorded runs of the samples, and the structure of their reports.

``recorded/<sample>.json.gz`` holds what one run of the sample measured; verdicts are derived anew on every test, so
that the outline follows the code. ``<sample>.outline.txt`` pins headings, column heads, figure titles and the words of
statuses.

``python -m tests.report.golden`` writes the outlines anew; ``python -m tests.report.golden digits RUN`` first records
the run in the folder RUN. Read the difference before committing it.
"""

import base64
import gzip
import json
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

from auditor.controls.status import mapped
from auditor.core.results import Results
from auditor.policy.judge import judged
from auditor.report.html import page
from auditor.report.load import load_evidence

HERE = Path(__file__).parent
SAMPLES = tuple(sorted(file.name.removesuffix(".json.gz") for file in (HERE / "recorded").glob("*.json.gz")))
DERIVED = ("findings", "claims", "coverage", "risks", "controls", "catalogues")


def record(sample: str, run: Path) -> None:
    """Keep what a run measured."""
    value = json.loads((run / "results.json").read_bytes())
    value |= {name: [] for name in DERIVED}
    arrays = {file.name: base64.b64encode(file.read_bytes()).decode() for file in sorted((run / "arrays").glob("*"))}
    text = json.dumps({"results": value, "arrays": arrays}, ensure_ascii=False, sort_keys=True)
    (HERE / "recorded").mkdir(exist_ok=True)
    (HERE / "recorded" / f"{sample}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def written(sample: str, folder: Path) -> Path:
    """The recorded run as a run directory, judged by the rules as they are now."""
    value = json.loads(gzip.decompress((HERE / "recorded" / f"{sample}.json.gz").read_bytes()))
    results = judged(Results.from_json(value["results"]))
    packs = tuple(results.settings["report"]["controls"])
    results = mapped(results, packs, today=date.fromisoformat(results.run.finished[:10]))
    (folder / "arrays").mkdir(parents=True)
    for name, data in value["arrays"].items():
        (folder / "arrays" / name).write_bytes(base64.b64decode(data))
    (folder / "results.json").write_text(json.dumps(results.to_json(), ensure_ascii=False), encoding="utf-8")
    return folder


class _Outline(HTMLParser):
    """Headings, column heads, figure titles, and the words of the marks of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._marks: dict[str, None] = {}
        self._within: list[str] = []
        self._text = ""
        self._heads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("h1", "h2", "h3", "h4") or (tag == "th" and values.get("scope") == "col"):
            self._open(tag)
        elif values.get("class") == "figure-title":
            self._open("figure")
        elif tag == "span" and (values.get("class") or "").startswith("mark "):
            self._open("mark")

    def _open(self, what: str) -> None:
        self._within.append(what)
        self._text = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        what = self._within[-1] if self._within else ""
        if tag == "thead" and self._heads:
            self.lines.append(f"    | {' | '.join(self._heads)}")
            self._heads = []
        if tag == what == "th":
            self._heads.append(self._taken())
        elif tag == what:
            if tag in ("h1", "h2"):
                self._flush()
            self.lines.append(f"{'  ' * (int(tag[1]) - 1)}{self._taken()}")
        elif (tag, what) == ("p", "figure"):
            self.lines.append(f"    figure: {self._taken()}")
        elif (tag, what) == ("span", "mark") and len(self._text.split()) > 1:
            self._marks[self._taken()] = None

    def _taken(self) -> str:
        self._within.pop()
        return " ".join(self._text.split())

    def _flush(self) -> None:
        if self._marks:
            self.lines.append(f"    statuses: {', '.join(sorted(self._marks))}")
        self._marks = {}

    def done(self) -> str:
        """One line each; what repeats within a section is said once."""
        self._flush()
        kept: dict[tuple[str, str], None] = {}
        section = ""
        for line in self.lines:
            if line.startswith("  ") and not line.startswith("   "):
                section = line
            kept[section, line] = None
        return "\n".join(line for _, line in kept) + "\n"


def outline(markup: str) -> str:
    """The structure of a page as text."""
    reader = _Outline()
    reader.feed(markup)
    return reader.done()


def outline_file(sample: str) -> Path:
    """Where the outline of a sample is pinned."""
    return HERE / f"{sample}.outline.txt"


def page_of_run(folder: Path) -> str:
    """The HTML page of a run directory."""
    return page(load_evidence(folder), printed=False)
