"""``auditor explain``: what a word, an attack, a scenario, a control or a lint means."""

import inspect
from collections.abc import Iterator

import typer

from auditor.core.errors import AuditorError


def explain(
    words: list[str] = typer.Argument(
        ...,
        metavar="WORD...",
        help="A word of the tool or its report, an attack, scenario, provision, lint, setting or exit code.",
    ),
) -> None:
    """Explain one name or word that the tool prints, e.g. `auditor explain clipping norm`."""
    code = " ".join(words)
    for source in (_attack, _scenario, _control, _lint, _word, _setting):
        text = source(code)
        if text:
            typer.echo(text)
            return
    raise AuditorError(f"'{code}' is not a word that the tool explains.", remedy=_nearest(code))


def _word(code: str) -> str:
    from auditor.core.words import entry_of

    entry = entry_of(code)
    if entry is None:
        return ""
    name, *others = entry.names
    also = f" (also: {', '.join(others)})" if others else ""
    return f"{name}{also}\n\n{entry.says}"


def _attack(code: str) -> str:
    from auditor.attacks.registry import available

    entry = available().get(code)
    if entry is None:
        return ""
    if entry.attack is None:
        return f"{code} is unavailable: {entry.error}"
    attack = entry.attack
    lines = [f"{attack.title} ({code})", "", inspect.getdoc(attack) or "", "", f"Source: {attack.paper}", ""]
    lines += ["Needs: the adversary " + "; ".join(grant.words for grant in sorted(attack.needs.grants)) + "."]
    if attack.needs.one_of:
        lines += ["And one of: " + "; ".join(grant.words for grant in sorted(attack.needs.one_of)) + "."]
    fields = attack.Params.model_fields
    lines += ["", "Parameters:"] if fields else []
    lines += [f"  {name} = {field.get_default()}  {field.description or ''}" for name, field in fields.items()]
    return "\n".join(lines)


def _scenario(code: str) -> str:
    from pathlib import Path

    from auditor.config.load import available_scenarios, load_scenario

    if code not in available_scenarios():
        return ""
    scenario = load_scenario(code, relative_to=Path.cwd())
    lines = [f"{scenario.title} ({code})", "", scenario.description, "", "The adversary:"]
    lines += [f"  - {grant.words}" for grant in sorted(scenario.grants)]
    lines += ["", "Attacks: " + ", ".join(scenario.attacks), "", "Limits, fixed before the run:"]
    for limit in scenario.thresholds:
        beyond = " of what a guess leaves open" if limit.beyond_guess else ""
        lines.append(f"  {limit.metric} <= {limit.limit:g}{beyond}: {limit.reason}")
    return "\n".join(lines)


def _control(code: str) -> str:
    from auditor.controls.catalogue import available_catalogues, load_catalogue

    for name in available_catalogues():
        for entry in load_catalogue(name).entries:
            if entry.id.casefold() == code.casefold():
                lines = [f"{entry.title} ({entry.source_ref}, {entry.kind})", "", entry.paraphrase]
                lines += ["", f"Applies from: {'; '.join(entry.applies_from)}"] if entry.applies_from else []
                lines += ["", "Outside the reach of a measurement: " + "; ".join(entry.outside_reach)]
                lines += ["", f"State: {entry.as_of}. Basis of the wording: {entry.source_basis}."]
                return "\n".join(lines)
    return ""


def _lint(code: str) -> str:
    from auditor.accounting.lints import RULES

    for rule in RULES:
        if rule.id.casefold() == code.casefold():
            return f"{rule.title} ({code}, severity {rule.severity})\n\n{rule.remedy}\n\nSource: {rule.source}"
    return ""


def _setting(code: str) -> str:
    from auditor.cli.explained_setting import explained_setting

    return explained_setting(code)


def _nearest(code: str) -> str:
    """Up to three names that look alike, and where to find all."""
    from difflib import get_close_matches

    known = {name.casefold(): name for name in _known()}
    found = [known[match] for match in get_close_matches(code.casefold(), known, n=3, cutoff=0.6)]
    found += [name for low, name in known.items() if code.casefold() in low and name not in found][: 3 - len(found)]
    if found:
        return f"Did you mean {' or '.join(repr(name) for name in found)}?"
    return "See auditor list attacks, auditor list scenarios and auditor list controls."


def _known() -> Iterator[str]:
    from auditor.accounting.lints import RULES
    from auditor.attacks.registry import available
    from auditor.config.load import available_scenarios
    from auditor.controls.catalogue import available_catalogues, load_catalogue
    from auditor.core.words import entries

    yield from (name for entry in entries() for name in entry.names)
    yield from available()
    yield from available_scenarios()
    yield from (rule.id for rule in RULES)
    for pack in available_catalogues():
        yield from (entry.id for entry in load_catalogue(pack).entries)
