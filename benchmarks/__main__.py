"""``python -m benchmarks [NAME ...]``: the named benchmarks, or all, as tables.

A benchmark that was interrupted goes on with the measurements that are finished (``--results``).
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from benchmarks.measuring import Options, machine

_NAMES = {
    "inversion": "reconstruction against breaching and against plain loops",
    "shadows": "training of reference models against one after the other and against two processes",
    "membership": "the membership battery with 64 reference models against a serial loop of their trainings",
    "leakage": "what an update gives away by training, batch, noise, quantisation and pruning",
    "acceptance": "the acceptance rows of membership attacks and audits of epsilon",
    "alarms": "false alarms of the bounds on epsilon",
    "growth": "how cost grows with targets, batch, parameters, references and clients",
    "engine": "what the engine itself costs",
    "accounting": "error, bracket and time of accounting",
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="; ".join(f"{name}: {what}" for name, what in _NAMES.items()))
    parser.add_argument("--results", type=Path, default=Path("runs/benchmarks"), help="folder of finished measurements")
    parser.add_argument("--quick", action="store_true", help="one short pair of each: shows that everything runs")
    environment = os.environ.get("BENCH_PEER_ENV")
    parser.add_argument("--peer-env", type=Path, default=environment and Path(environment), help="holds breaching")
    parser.add_argument("--create", action="store_true", help="make the environment of --peer-env (network, 1 GB)")
    shared = os.environ.get("AUDITOR_SHARED", str(Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(shared), help="folder with data/images and data/tabular")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(_NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    options = Options(asked.results, asked.quick, asked.peer_env, asked.create, asked.shared)
    print(machine(), flush=True)
    failed = [name for name in asked.names or _NAMES if not _ran(name, options)]
    sys.exit(f"ended with an error: {', '.join(failed)}" if failed else 0)


def _ran(name: str, options: Options) -> bool:
    print(f"\n== {name}: {_NAMES[name]}\n", flush=True)
    try:
        importlib.import_module(f"benchmarks.{name}").run(options)
    except Exception as error:  # one benchmark that fails must not keep the others from running
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    main()
