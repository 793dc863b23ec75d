"""The ``auditor`` command: collects the commands, turns errors into sentences and exit codes."""

import importlib
import sys
from types import ModuleType

import typer

from auditor import __version__
from auditor.core.errors import AuditorError, ExitCode

COMMANDS = {
    "init": "Start: a commented audit.yaml and target.py.",
    "check": "Load everything, try one batch, say what was found.",
    "plan": "Which attacks will run, which not and why, how long.",
    "run": "The audit: attacks, findings, report.",
    "report": "Write the report and exports of a run again.",
    "verify": "Is a run what it says? Derive and render it again.",
    "sign": "Sign the report with your own key.",
    "compare": "What changed between two runs.",
    "decide": "Open decisions in words, as a file to fill in.",
    "gallery": "Blurred reconstructions, for the assessor alone.",
    "account": "Epsilon from the settings alone.",
    "list": "Attacks, scenarios and law packs.",
    "explain": "What a word, attack, provision or exit code means.",
    "controls": "Look after the law packs.",
    "schema": "The JSON Schema of audit.yaml.",
    "doctor": "Is this machine ready?",
}
"""Each command with what the overview says of it."""

_EXITS = "Exit codes: 0 done, 1 a finding or difference, 2 a mistake to mend, 3 incomplete; see auditor explain exit-3."

app = typer.Typer(
    name="auditor",
    help="Audit what a federated-learning set-up leaks about the people in its data.",
    epilog=_EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"auditor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Audit what a federated-learning set-up leaks about the people in its data."""


def _add(module: ModuleType, name: str, short: str) -> None:
    """A module holds one command named like it (``list_`` for ``list``), or a group called ``app``."""
    group = getattr(module, "app", None)
    if group is not None:
        app.add_typer(group, name=name, short_help=short)
    else:
        app.command(name, short_help=short)(getattr(module, name, None) or getattr(module, f"{name}_"))


for _name, _short in COMMANDS.items():
    _add(importlib.import_module(f"auditor.cli.{_name}"), _name, _short)


def main() -> None:
    """Run the command line; a user's mistake is one sentence, a bug keeps its traceback without local variables."""
    try:
        app(standalone_mode=True)
    except AuditorError as error:
        typer.echo(f"auditor: {error}" if "\n" not in str(error) else str(error), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("auditor: interrupted; what was finished is kept", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except Exception:
        import traceback

        traceback.print_exc()
        typer.echo("auditor: this is a bug in the tool; the traceback above holds no data", err=True)
        sys.exit(ExitCode.BUG)
