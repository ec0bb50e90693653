"""Train one recipe on every data set of a folder and put the errors beside published ones.

python benchmarks/accuracy.py FOLDER --config configs/ace.yaml --out runs/accuracy [--sets mlearn_Si 3bpa] [OVERRIDE …]

FOLDER holds one folder per set with `train.xyz` and `test.xyz` (official splits).  Test data choose nothing.  Every
further option goes to `nnpot train`, e.g. `--trainer.max_epochs 100`.  Finished sets are not trained again.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nnpot import load
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.reading import LabelKeys, read_structures


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


def main() -> None:
    """Train, evaluate, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/ace.yaml"))
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--sets", nargs="*", help="only these")
    arguments, overrides = parser.parse_known_args()
    known = list(dict.fromkeys(row.data for row in ROWS))
    record = arguments.out / "accuracy.json"
    results = json.loads(record.read_text()) if record.is_file() else {}
    for name in arguments.sets or [n for n in known if (arguments.folder / n / "train.xyz").is_file()]:
        results[name] = run(name, arguments.folder / name, arguments.config, arguments.out / name, overrides)
        record.write_text(json.dumps(results, indent=2) + "\n")
        (arguments.out / "accuracy.md").write_text(table(results))
    print(table(results))


def run(name: str, data: Path, config: Path, out: Path, overrides: list[str]) -> dict[str, dict[str, float]]:
    """Train one set unless that is done, going on where it was interrupted; return the errors of every row of it."""
    started = time.perf_counter()
    if not (out / "minutes.txt").exists():
        options = ["--config", str(config), "--data.train", str(data / "train.xyz"), "--out", str(out), *overrides]
        resume = ["--resume", str(out)] if (out / "last.ckpt").exists() else []
        subprocess.run([sys.executable, "-m", "nnpot", "train", *options, *resume], check=True)
        (out / "minutes.txt").write_text(f"{(time.perf_counter() - started) / 60:.1f}\n")
    potential = load(out / "model.nnpot")
    results: dict[str, dict[str, float]] = {}
    for row in (r for r in ROWS if r.data == name):
        structures = read_structures(data / "test.xyz", LabelKeys(group=row.group_key))
        chosen = [s for s in structures if not row.group or s.group == row.group]
        results[label(row)] = evaluate_potential(potential, chosen).errors()
    return results


def label(row: Row) -> str:
    """Return a unique name of a row."""
    return f"{row.data}{f' {row.group} K' if row.group else ''}, {row.kind.upper()}"


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the Markdown table."""
    lines = ["| set | energy | force, meV/Å | stress, GPa | published (energy / force) |", "|---|---|---|---|---|"]
    for row in ROWS:
        errors = results.get(row.data, {}).get(label(row))
        if errors is None:
            continue
        energy = errors[f"energy_{row.kind}_mev_per_atom"] * row.n_atoms
        force, stress = errors[f"force_{row.kind}_mev_per_ang"], errors.get(f"stress_{row.kind}_gpa")
        others = "; ".join(f"{name} {e:g} / {f:g}" for name, (e, f) in row.published.items())
        shown = f"{stress:.3f}" if stress is not None else "–"
        lines.append(f"| {label(row)} | {energy:.2f} {row.energy_unit} | {force:.1f} | {shown} | {others} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
