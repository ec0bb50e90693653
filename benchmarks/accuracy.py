"""Train one recipe on every data set of a folder and put the errors beside published ones.

python benchmarks/accuracy.py FOLDER --config configs/ace.yaml --out runs/accuracy [--sets mlearn_Si 3bpa]
    [--seeds 0 1 2] [OVERRIDE …]

FOLDER holds one folder per set with `train.xyz` and `test.xyz` (official splits).  Test data choose nothing.  Every
further option goes to `nnpot train`, e.g. `--trainer.max_epochs 100`.  A training that was interrupted goes on, one
that is finished is not done again, and several processes may do different sets at the same time.

The table has the median over the seeds and their range, the processor time of a training, that after which a model
could be used whose forces were within ten per cent of the final error (on validation), and the cost of the model:
energy and forces of test structures on one core.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nnpot import load
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.reading import LabelKeys, read_structures
from nnpot.structure import Structure


@dataclass(frozen=True)
class Row:
    """One line of the table: a set (or a part of its test set), which errors count, what others reach.

    Attributes:
        data: Folder of the set.
        kind: `mae` or `rmse`.
        energy_unit: `meV/atom`, or `meV` for molecules of `n_atoms`.
        published: Name → (energy, force in meV/Å).
        group: Value of `group_key` of the test frames that count; all if empty.
        group_key: Key in the frames' comment lines.
        n_atoms: Atoms per molecule where energies are given per molecule.
    """

    data: str
    kind: str
    published: dict[str, tuple[float, float]]
    energy_unit: str = "meV/atom"
    group: str = ""
    group_key: str = "config_type"
    n_atoms: int = 1


# Sources: mlearn, Zuo et al., JPCA 124, 731 (2020), n2p2 networks evaluated on the same files; linear ACE, Witt et al.,
# JCP 159, 164101 (2023).  3BPA: Kovács et al., JCTC 17, 7696 (2021); Musaelian et al., Nat. Commun. 14, 579 (2023), on
# the official test sets (here: 469 other frames).  Ethanol: rMD17 tables of the same papers.  TiO2: Artrith & Urban
# (2016), example; MoSi2N4: the author's NEP4; water: DeepPot-SE, Zhang et al., NeurIPS 2018, approximate.
ROWS = (
    Row("mlearn_Si", "mae", {"linear ACE": (2.6, 66.0)}),
    Row("mlearn_Si", "rmse", {"n2p2 network": (6.93, 170.0), "qSNAP": (5.51, 177.0)}),
    Row("mlearn_Mo", "mae", {"linear ACE": (2.9, 97.0)}),
    Row("mlearn_Mo", "rmse", {"n2p2 network": (5.43, 204.0), "qSNAP": (4.04, 333.0)}),
    Row("mlearn_Ni", "mae", {"linear ACE": (0.34, 14.0)}),
    Row("mlearn_Ni", "rmse", {"n2p2 network": (2.25, 67.0), "qSNAP": (1.04, 75.0)}),
    Row("3bpa", "rmse", {"linear ACE": (7.1, 27.1), "Allegro": (3.8, 13.0)}, "meV", "300", "T_est", 27),
    Row("3bpa", "rmse", {"linear ACE": (24.0, 64.3), "Allegro": (12.1, 29.2)}, "meV", "600", "T_est", 27),
    Row("3bpa", "rmse", {"linear ACE": (85.3, 187.0), "Allegro": (42.6, 83.0)}, "meV", "1200", "T_est", 27),
    Row("3bpa", "rmse", {}, "meV", n_atoms=27),
    Row("ethanol", "mae", {"linear ACE": (1.2, 7.3), "MACE": (0.4, 2.1)}, "meV", n_atoms=9),
    Row("mosi2n4", "rmse", {"NEP4": (2.91, 109.0)}),
    Row("tio2", "rmse", {"Chebyshev network": (7.74, 224.0)}),
    Row("water_pbe0ts", "rmse", {"DeepPot-SE": (0.5, 45.0)}),
)


BATCH_ATOMS, TIMED = 500, 2.0
"""Atoms evaluated together where the cost is measured, and seconds that this takes at least."""

WITHIN = 1.1
"""Force error of an early model, relative to the final one, that counts as about as good."""


def main() -> None:
    """Train, evaluate, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/ace.yaml"))
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(1)
    known = list(dict.fromkeys(row.data for row in ROWS))
    if unknown := [name for name in arguments.sets or () if name not in known]:
        parser.error(f"--sets {unknown[0]}: sets with published errors are {', '.join(known)}")
    for name in arguments.sets or [n for n in known if (arguments.folder / n / "train.xyz").is_file()]:
        for seed in arguments.seeds:
            out, data = arguments.out / f"{name}-{seed}", arguments.folder / name
            if not (out / "result.json").is_file():
                options = ["--config", str(arguments.config), "--data.train", str(data / "train.xyz")]
                train([*options, "--seed", str(seed), *overrides], out)
                (out / "result.json").write_text(json.dumps(result(name, data, out), indent=2) + "\n")
            (arguments.out / "accuracy.md").write_text(table(arguments.out))
    print(table(arguments.out))


def train(options: list[str], out: Path) -> None:
    """Train into a folder, going on where a training was interrupted; add up the processor time in a file of it."""
    resume = ["--resume", str(out)] if (out / "last.ckpt").exists() else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        subprocess.run([sys.executable, "-m", "nnpot", "train", *options, "--out", str(out), *resume], check=True)
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if out.is_dir():
            with (out / "seconds.txt").open("a") as file:
                file.write(f"{spent:.1f}\n")


def result(name: str, data: Path, out: Path) -> dict[str, Any]:
    """Return the errors of every row of a set, and what its training and its model cost."""
    potential = load(out / "model.nnpot")
    errors: dict[str, dict[str, float]] = {}
    rows = [r for r in ROWS if r.data == name]
    structures = read_structures(data / "test.xyz", LabelKeys(group=rows[0].group_key))
    for row in rows:
        chosen = [s for s in structures if not row.group or s.group == row.group]
        errors[label(row)] = evaluate_potential(potential, chosen).errors()
    minutes = sum(map(float, (out / "seconds.txt").read_text().split())) / 60
    cost = microseconds_per_atom(potential, structures)
    early = minutes * early_fraction(out / "metrics.csv")
    return {"errors": errors, "minutes": minutes, "early": early, "cost": cost, "cutoff": potential.cutoff}


def early_fraction(metrics: Path) -> float:
    """Return the fraction of its epochs after which a training had a model about as good as the last one.

    Models are there at the end of a stage, where the learning rate goes up again.  Without validation it is 1.
    """
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["lr"]) for row in rows]
    ends = [k for k in range(len(rows)) if k + 1 == len(rows) or rates[k + 1] > 3 * rates[k]]
    errors = {k: float(error) for k in ends if (error := rows[k].get("val/force_mae_mev_per_ang"))}
    good = [k for k in errors if errors[k] <= WITHIN * min(errors.values())]
    return (good[0] + 1) / len(rows) if good else 1.0


def microseconds_per_atom(potential: Potential, structures: Sequence[Structure]) -> float:
    """Return the median time of energy, forces and stress of structures with about `BATCH_ATOMS` atoms together."""
    dtype, _ = potential.dtype_and_device()
    chosen, n_atoms = [], 0
    for s in structures:
        if n_atoms < BATCH_ATOMS:
            chosen.append(single_batch(s, potential.cutoff).to(dtype=dtype))
            n_atoms += len(s)
    batch, times = Batch.join(chosen), []
    while sum(times) < TIMED or len(times) < 5:
        started = time.perf_counter()
        potential.eval()(batch)
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times) / n_atoms


def label(row: Row) -> str:
    """Return a unique name of a row."""
    return f"{row.data}{f' {row.group} K' if row.group else ''}, {row.kind.upper()}"


def table(out: Path) -> str:
    """Return the Markdown table of all trainings in a folder that are finished."""
    lines = [
        "| set | energy | force, meV/Å | stress, GPa | published (energy / force) | seeds | minutes | usable after | "
        "cutoff, Å | µs/atom |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        found = [json.loads(path.read_text()) for path in sorted(out.glob(f"{row.data}-*/result.json"))]
        errors = [r["errors"][label(row)] for r in found]
        if not errors:
            continue
        energy = spread([e[f"energy_{row.kind}_mev_per_atom"] * row.n_atoms for e in errors], 2)
        force = spread([e[f"force_{row.kind}_mev_per_ang"] for e in errors], 1)
        stresses = [e[key] for e in errors if (key := f"stress_{row.kind}_gpa") in e]
        others = "; ".join(f"{name} {e:g} / {f:g}" for name, (e, f) in row.published.items()) or "–"
        costs = [statistics.median(r[name] for r in found) for name in ("minutes", "early", "cutoff", "cost")]
        shown = " | ".join(f"{value:.3g}" for value in costs)
        stress = spread(stresses, 3) if stresses else "–"
        lines.append(
            f"| {label(row)} | {energy} {row.energy_unit} | {force} | {stress} | {others} | {len(found)} | {shown} |"
        )
    return "\n".join(lines) + "\n"


def spread(values: list[float], digits: int) -> str:
    """Return the median, and the range where there are several, in words."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
