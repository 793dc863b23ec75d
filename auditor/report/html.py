"""One HTML file: fonts, figures and styles inside, no script, nothing to fetch."""

import base64
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from auditor.policy.canaries import refuted_claim
from auditor.policy.re_audit import is_compared
from auditor.report import answers, attacks, decisions, describe, drawings, formatting, groups, sections
from auditor.report.figures.canvas import Figure, themed
from auditor.report.guide import metrics_guide
from auditor.report.load import Evidence
from auditor.report.strings import Strings, strings
from auditor.report.together import together
from auditor.report.weaknesses import weaknesses
from auditor.report.worth import no_better_than_constant, worth_rows
from auditor.resources import folder

SECTIONS = (
    "identity",
    "coverage",
    "answers",
    "scope",
    "adversaries",
    "method",
    "results",
    "privacy",
    "federation",
    "examples",
    "risk",
    "measures",
    "controls",
    "comparison",
    "signoff",
    "details",
    "provisions",
    "annex",
)
ANNEXES = ("details", "provisions", "annex")
"""The last sections: everything behind the main part, lettered instead of numbered."""

FONTS = {400: "SourceSans3-Regular", 600: "SourceSans3-Semibold"}
SHAPES = {
    "finding": {
        "exceeds": "▲",
        "within": "●",
        "inconclusive": "◆",
        "measured": "○",
        "failed": "×",
        "not_run": "□",
        "not_applicable": "–",
    },
    "outcome": {"measured": "●", "failed": "×", "not_run": "□", "not_applicable": "–"},
    "coverage": {"run": "●", "partial": "◆", "not_run": "□", "not_applicable": "–"},
    "control": {
        "evidence_supports": "●",
        "evidence_contradicts": "▲",
        "inconclusive": "◆",
        "not_tested": "□",
        "outside_reach": "–",
        "stale": "▼",
        "human_declared": "○",
    },
    "epsilon": {"bounded": "●", "unbounded": "▲", "unknown": "◆", "disputed": "▲"},
    "claim": {"supports": "●", "contradicts": "▲", "open": "◆", "declared": "○"},
    "lint": {"high": "▲", "medium": "◆", "low": "○"},
}


def page(evidence: Evidence, *, printed: bool, figures: drawings.Figures | None = None, language: str = "en") -> str:
    """The whole report as HTML.

    Args:
        evidence: The run.
        printed: True for the PDF: figures in plain colours, fonts fetched from the project's own folder.
        figures: From :func:`draw_figures`, where they were drawn already.
        language: Which strings file.
    """
    words = strings(language)
    template = _environment(language).get_template("report.html.j2")
    drawn = figures or drawings.draw_figures(evidence, words)
    return template.render(_context(evidence, drawn, words, printed=printed))


def _context(evidence: Evidence, figures: drawings.Figures, words: Strings, *, printed: bool) -> dict[str, Any]:
    results = evidence.results
    return {
        "r": results,
        "digest": evidence.digest,
        "printed": printed,
        "sections": SECTIONS,
        "annexes": ANNEXES,
        "style": Markup(_style(printed=printed)),
        "summary": answers.summarise(results, words),
        "scenario_names": sections.scenario_names(results),
        "figures": figures,
        "decided": evidence.decided,
        "comparison": evidence.comparison,
        "counts_here": is_compared(results),
    }


@cache
def _environment(language: str) -> Environment:
    """Templates with their helpers; print and screen share it, so that each template is compiled once."""
    words = strings(language)
    environment = Environment(
        loader=FileSystemLoader(folder("templates/report")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_filters())
    environment.globals.update(
        t=words.html,
        raw=words.get,
        has=words.has,
        word=words.word,
        mark=_marker(words),
        svg=_svg,
        letters=formatting.letters,
        **_helpers(words),
    )
    return environment


@pass_context
def _svg(context: Context, figure: Figure) -> Markup:
    return Markup(_inline(figure, printed=context["printed"]))


@pass_context
def _with_breaks(context: Context, text: str) -> Markup:
    return _breakable(text, "&#8203;" if context["printed"] else "<wbr>")


def _filters() -> dict[str, Callable[..., Any]]:
    return {
        "number": formatting.number,
        "pct": formatting.percent,
        "precise": formatting.precise,
        "pct_up": lambda value: formatting.percent(value, rounding=formatting.Rounding.UP),
        "up": lambda value: formatting.number(value, decimals=2, rounding=formatting.Rounding.UP),
        "down": lambda value: formatting.number(value, decimals=2, rounding=formatting.Rounding.DOWN),
        "date": formatting.date,
        "hash": lambda text: Markup('<code class="hash">{}</code>').format(formatting.short_hash(text or "")),
        "declared": describe.declared,
        "law": lambda text: Markup('<span class="law">{}</span>').format(text),
        "cite": lambda text: Markup("<cite>{}</cite>").format(text),
        "sentence": describe.sentence_case,
        "breakable": _with_breaks,
    }


def _helpers(words: Strings) -> dict[str, Any]:
    return {
        "attack_blocks": lambda results, name: attacks.brief(attacks.attack_blocks(results, name, words), words),
        "together": lambda blocks: together(blocks, words),
        "risk_reasons": lambda results: drawings.risk_reasons(results, words),
        "audit_reading": sections.audit_reading,
        "refuted_claim": refuted_claim,
        "interval_methods": lambda results: sections.interval_methods(results, words),
        "posterior_fpr": sections.posterior_fpr,
        "adversary_rows": lambda results: sections.adversary_rows(results, words),
        "shared_reasons": lambda results: sections.shared_reasons(results, words),
        "metrics_guide": lambda results: metrics_guide(results, words),
        "finding_rows": lambda results: groups.finding_rows(results, words),
        "check_rows": lambda results: groups.check_rows(results, words),
        "rebuilt_rows": lambda results: groups.rebuilt_rows(results, words),
        "not_applying": attacks.not_applying,
        "sources": attacks.sources,
        "provision_name": sections.provision_name,
        "settings_rows": sections.settings_rows,
        "worth_rows": worth_rows,
        "weaknesses": lambda results: weaknesses(results, words),
        "no_better_than_constant": no_better_than_constant,
        "pack_blocks": sections.pack_blocks,
        "judged_claims": sections.judged_claims,
        "record_claims": sections.record_claims,
        "largest": sections.largest,
        "measures_to_take": lambda results: sections.measures_to_take(results, words),
        "coverage_reason": lambda row, results: sections.coverage_reason(row, results, words),
        "holds_until": sections.holds_until,
        "sources_of": sections.sources_of,
        "basis_mark": sections.basis_mark,
        "evidence_index": sections.evidence_index,
        "finding_value": sections.finding_value,
        "finding_interval": sections.finding_interval,
        "finding_limit": sections.finding_limit,
        "grant_words": sections.grant_words,
        "withheld_words": sections.withheld_words,
        "threshold_name": lambda key: describe.key_name(key, words),
        "scenario_title": describe.scenario_title,
        "attack_title": describe.attack_title,
        "metric_key": lambda name: describe.metric_key(name, words),
        "measured": formatting.measured,
        "ends": describe.ends,
        "floor_text": describe.floor_text,
        "value_with_interval": describe.value_with_interval,
        "by_weight": describe.by_weight,
        "likelihood_words": lambda cell: decisions.likelihood_words(cell, words),
        "level_words": lambda level: decisions.level_words(level, words),
        "quantity": formatting.quantity,
        "pack_title": drawings.pack_title,
    }


def _marker(words: Strings) -> Callable[..., Markup]:
    def mark(group: str, status: str) -> Markup:
        shape = SHAPES[group].get(status, "◆")
        label = words.plain(f"findings.{status}") if group == "claim" else words.word(group, status)
        return Markup('<span class="mark {0}-{1}"><span class="shape" aria-hidden="true">{2}</span> {3}</span>').format(
            group, status.replace("_", "-"), shape, label
        )

    return mark


def _breakable(text: str, chance: str) -> Markup:
    """Let long names break after their separators, never inside a number; ``chance`` is a possible break."""
    pieces = re.split(r"(?<=[./:@_\-])(?!\d)(?=.)", text)
    return Markup(chance).join(escape(piece) for piece in pieces)


def _inline(figure: Figure, *, printed: bool) -> str:
    """The drawing itself; print takes an image, so that the PDF carries its alternative text."""
    alt = escape(figure.alt)
    if printed:
        data = base64.b64encode(figure.wide.encode()).decode()
        return f'<img class="drawing" src="data:image/svg+xml;base64,{data}" alt="{alt}">'
    wide = _labelled(themed(figure.wide), alt, "wide")
    return wide + _labelled(themed(figure.narrow), alt, "narrow")


def _labelled(svg: str, alt: str, width: str) -> str:
    return svg.replace("<svg ", f'<svg class="drawing {width}" role="img" aria-label="{alt}" ', 1)


def _style(*, printed: bool) -> str:
    base = folder("templates/report")
    faces = "".join(_face(weight, stem, printed=printed) for weight, stem in FONTS.items())
    sheets = ("report.css", "print.css") if printed else ("report.css", "screen.css", "print.css")
    return faces + "".join((base / sheet).read_text(encoding="utf-8") for sheet in sheets)


def _face(weight: int, stem: str, *, printed: bool) -> str:
    path = folder("templates/report/fonts") / (f"{stem}.ttf" if printed else f"{stem}.ttf.woff2")
    if printed:
        source = f'url("{path.as_uri()}") format("truetype")'
    else:
        data = base64.b64encode(path.read_bytes()).decode()
        source = f'url("data:font/woff2;base64,{data}") format("woff2")'
    return f'@font-face{{font-family:"Source Sans 3";font-weight:{weight};font-style:normal;src:{source}}}\n'
