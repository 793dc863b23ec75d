"""``auditor explain``: what a word, an attack, a scenario, a control or a lint means."""

import inspect

import typer

from auditor.core.errors import AuditorError


def explain(
    code: str = typer.Argument(..., help="An attack, scenario, status, metric, control id, lint id or exit code."),
) -> None:
    """Explain one name that the tool prints."""
    for source in (_word, _attack, _scenario, _control, _lint):
        text = source(code)
        if text:
            typer.echo(text)
            return
    raise AuditorError(f"'{code}' is not a name that the tool prints.", remedy=_nearest(code))


def _word(code: str) -> str:
    from auditor.core.words import WORDS

    return WORDS.get(code, "") or WORDS.get(f"exit-{code}", "")


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
            if entry.id == code:
                lines = [f"{entry.title} ({entry.source_ref}, {entry.kind})", "", entry.paraphrase]
                lines += ["", "Outside the reach of a measurement: " + "; ".join(entry.outside_reach)]
                return "\n".join(lines)
    return ""


def _lint(code: str) -> str:
    from auditor.accounting.lints import RULES

    for rule in RULES:
        if rule.id == code:
            return f"{rule.title} ({code}, severity {rule.severity})\n\n{rule.remedy}\n\nSource: {rule.source}"
    return ""


def _nearest(code: str) -> str:
    from difflib import get_close_matches

    from auditor.attacks.registry import available
    from auditor.config.load import available_scenarios
    from auditor.core.words import WORDS

    found = get_close_matches(code, [*WORDS, *available(), *available_scenarios()], n=1)
    return f"Did you mean '{found[0]}'?" if found else "See `auditor list attacks` and `auditor list scenarios`."
