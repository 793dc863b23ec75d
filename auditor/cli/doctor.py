"""``auditor doctor``: is this machine ready, and if not, what is missing?"""

import typer

from auditor.core.errors import ExitCode

_PACKAGES = (
    "torch",
    "opacus",
    "prv-accountant",
    "dp-accounting",
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
    "jinja2",
    "matplotlib",
    "weasyprint",
    "safetensors",
)


def doctor() -> None:
    """Check Python, packages, system libraries and devices; say what to install."""
    problems = _python() + _packages() + _pdf() + _attacks()
    _devices()
    if problems:
        typer.echo("", err=True)
        for problem in problems:
            typer.echo(f"auditor: {problem}", err=True)
        raise typer.Exit(ExitCode.USAGE)
    typer.echo("\nAll is there.")


def _line(name: str, value: str) -> None:
    typer.echo(f"{name:<18}{value}")


def _python() -> list[str]:
    import platform
    import sys

    _line("python", platform.python_version())
    _line("system", platform.platform(terse=True))
    return [] if sys.version_info >= (3, 11) else ["Python 3.11 or newer is needed; install it and make a new venv."]


def _packages() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    missing = []
    for name in _PACKAGES:
        try:
            _line(name, version(name))
        except PackageNotFoundError:
            _line(name, "missing")
            missing.append(f"{name} is not installed; run: pip install {name}")
    return missing


def _pdf() -> list[str]:
    try:
        import weasyprint  # noqa: F401
    except OSError as error:
        _line("pdf libraries", "missing")
        return [
            f"WeasyPrint misses a system library ({error.args[0].splitlines()[0]}); "
            "on Debian or Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        ]
    _line("pdf libraries", "found")
    return []


def _attacks() -> list[str]:
    from auditor.attacks.registry import available

    entries = available()
    _line("attacks", f"{sum(entry.attack is not None for entry in entries.values())} of {len(entries)} available")
    return [f"attack {name} is unavailable: {entry.error}" for name, entry in entries.items() if entry.attack is None]


def _devices() -> None:
    import torch

    _line("cpu threads", str(torch.get_num_threads()))
    if not torch.cuda.is_available():
        _line("gpu", "none; everything runs on the CPU")
    for index in range(torch.cuda.device_count()):
        _line(f"cuda:{index}", torch.cuda.get_device_name(index))
