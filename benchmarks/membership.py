"""The membership battery with 64 reference models: what it takes, against training them one after the other.

The battery is a whole audit of the released model, from loading to findings, without the report. The serial loop is
timed on a few reference models of the same federation and scaled to all.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import Kept, Options, alone, table, timed

MODELS = 64
LOOP = 8
"""Reference models that the serial loop is timed on."""

ATTACKS = (
    "membership/loss-threshold",
    "membership/output-rule",
    "membership/population-threshold",
    "membership/reference-quantile",
    "membership/lira",
    "membership/rmia",
    "membership/quantile-regression",
    "membership/label-only",
)
_READ_REFERENCES = ("membership/reference-quantile", "membership/lira", "membership/rmia")
_HEAD = (
    "Target",
    "Records",
    "Battery CPU min",
    "of it references",
    "Serial loop CPU min",
    "Serial / battery's references",
    "LiRA AUC",
    "TPR at FPR 1 %",
)

CREDIT = """
from torch import nn


def build():
    return nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))
"""


def run(options: Options) -> None:
    """Print a row for each target whose data is here."""
    kept = Kept(options, "membership")
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(kept, "tumour", _tumour(Path(folder) / "tumour", options))]
        table_file = options.shared / "data" / "tabular" / "credit_default.csv.gz"
        if table_file.is_file():
            rows.append(_row(kept, "credit_default", _credit(Path(folder) / "credit", table_file, options)))
        else:
            print(f"credit_default skipped: {table_file} is not here", flush=True)
    table(_HEAD, rows)


def _row(kept: Kept, name: str, audit: Path) -> list[str]:
    battery = kept.measured(f"{name} battery", lambda: alone(battery_of, audit=str(audit)))
    loop = kept.measured(f"{name} loop", lambda: alone(loop_of, audit=str(audit), models=LOOP))
    serial = loop["cpu"] / LOOP * battery["models"]
    rate = "–" if battery["tpr"] is None else f"{battery['tpr']:.3f} [{battery['low']:.3f}, {battery['high']:.3f}]"
    return [
        name,
        f"{battery['members']:,} members, {battery['nonmembers']:,} non-members",
        f"{battery['cpu'] / 60:.2f}",
        f"{battery['references'] / 60:.2f}",
        f"{serial / 60:.2f}",
        f"{serial / battery['references']:.2f}",
        f"{battery['auc']:.3f}",
        rate,
    ]


def battery_of(*, audit: str) -> dict[str, Any]:
    """Run the audit once, in this process."""
    from auditor.config.load import load_audit
    from auditor.engine.run import run_audit

    out = Path(audit).parent / "run"
    shutil.rmtree(out, ignore_errors=True)
    done = run_audit(load_audit(audit), out, render_report=False)
    lines = (json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines())
    references = sum(line["cpu_seconds"] for line in lines if line["kind"] == "reference")
    lira = next(o for o in done.results.outcomes if o.attack == "membership/lira")
    figures = {m.key: m for m in lira.measurements}
    rate = figures["tpr_at_fpr[fpr=0.01]"]
    shape = done.results.target.shape
    return {
        "references": references,
        "models": int(lira.effort["reference_models"]),
        "members": shape.members,
        "nonmembers": shape.nonmembers,
        "auc": figures["auc"].value,
        "tpr": rate.value,
        "low": rate.interval.low if rate.interval else None,
        "high": rate.interval.high if rate.interval else None,
    }


def loop_of(*, audit: str, models: int) -> dict[str, Any]:
    """Seconds of reference models trained and asked one after the other; loading is not counted."""
    from auditor.config.load import load_audit
    from auditor.engine.models import Models
    from auditor.engine.units import UnitKind, make_unit
    from auditor.targets.load import load_target

    document = load_audit(audit)
    trainer = Models(load_target(document), document.settings, device="cpu")

    def done(count: int) -> dict[str, Any]:
        details = {"indices": list(range(count)), "how": "serial"}
        unit = make_unit(UnitKind.REFERENCE, "loop", target="", details=details, seed=1, environment={})
        return {"bytes": len(trainer.references(unit))}

    done(1)  # loads kernels
    return timed(lambda: done(models))


def _battery(base: dict[str, Any], options: Options) -> dict[str, Any]:
    models = 8 if options.quick else MODELS
    return {
        **base,
        "scenarios": ["released-model"],
        "attacks": list(ATTACKS),
        "parameters": {name: {"reference_models": models} for name in _READ_REFERENCES},
        "budget": {"minutes": 60},
        "compute": {"executor": "serial"},
    }


def _written(folder: Path, value: dict[str, Any], target: str) -> Path:
    folder.mkdir()
    (folder / "target.py").write_text(target, encoding="utf-8")
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def _tumour(folder: Path, options: Options) -> Path:
    sample = Path(__file__).resolve().parents[1] / "samples" / "tumour"
    base = yaml.safe_load((sample / "audit.yaml").read_text(encoding="utf-8"))
    base = {name: base[name] for name in ("audit", "target", "federation", "privacy")}
    return _written(folder, _battery(base, options), (sample / "target.py").read_text(encoding="utf-8"))


def _credit(folder: Path, data: Path, options: Options) -> Path:
    """Ten banks, 3,000 customers' records in training; enough others for claims at a false-positive rate of 1 %."""
    base: dict[str, Any] = {
        "audit": {
            "name": "Credit default",
            "seed": 7,
            "release_context": "partners",
            "organisation": {"data_category": "sensitive"},
        },
        "target": {
            "model": "target.py:build",
            "modality": "tabular",
            "data": {
                "path": str(data),
                "labels": "default_next_month",
                "categorical": ["SEX", "EDUCATION"],
                "normalise": "standardise",
                "members": {"count": 3000},
                "nonmembers": {"count": 3000},
                "population": {"count": 6000},
            },
        },
        "federation": {
            "algorithm": "fedavg",
            "clients": 10,
            "rounds": 20,
            "local": {"epochs": 2, "batch_size": 32, "learning_rate": 0.1},
        },
        "privacy": {"mechanism": "none"},
    }
    return _written(folder, _battery(base, options), CREDIT)
