"""The ``auditor`` command: collects the commands, turns errors into sentences and exit codes."""

import importlib
import sys
from types import ModuleType

import typer

from auditor import __version__
from auditor.core.errors import AuditorError, ExitCode

COMMANDS = (
    "init",
    "check",
    "plan",
    "run",
    "report",
    "verify",
    "sign",
    "compare",
    "decide",
    "gallery",
    "account",
    "list",
    "explain",
    "controls",
    "schema",
    "doctor",
)

app = typer.Typer(
    name="auditor",
    help="Audit what a federated-learning set-up leaks about the people in its data.",
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


def _add(module: ModuleType, name: str) -> None:
    """A module holds one command named like it (``list_`` for ``list``), or a group called ``app``."""
    group = getattr(module, "app", None)
    if group is not None:
        app.add_typer(group, name=name)
    else:
        app.command(name)(getattr(module, name, None) or getattr(module, f"{name}_"))


for _name in COMMANDS:
    _add(importlib.import_module(f"auditor.cli.{_name}"), _name)


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
