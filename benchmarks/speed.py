"""Time nnpot against installed peers: MD inference and training steps, interleaved in one process.

python benchmarks/speed.py [--what md train scaling] [--systems water1536 copper256] [--threads 1] [--rounds 9]

Each round times every candidate once, so that whatever else the machine does strikes all of them alike.  Given are
the medians, with the quartiles, of the CPU time of this process per atom (of wall time with more than one thread) and
the median over the rounds of its ratio to the first candidate.  Atoms move by 0.01 Å before every call, and the
neighbour list is part of it, with whatever skin a package has.  `scaling` is the default ACE alone: its cost by
elements, channels and cutoff.  Peers that are not installed are left out: `pip install torchani calorine
metatrain[soap-bpnn] deepmd-kit mace-torch`, and in another environment `sevenn`, which needs another e3nn than MACE.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], Any]


def main() -> None:
    """Measure, print, write `speed.json` and `speed.md`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="*", choices=["md", "train", "scaling"], default=["md", "train"])
    parser.add_argument(
        "--systems", nargs="*", default=["water192", "water1536", "water6000", "copper256", "copper4000"]
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", help="candidates whose name contains one of these")
    parser.add_argument("--out", type=Path, default=Path("runs/speed"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported
    importlib.import_module("nnpot")  # says how threads wait

    from speed_candidates import MD, TRAINING, scaling, system, training_set

    rows: list[dict[str, Any]] = []
    for name in options.systems if "md" in options.what else []:
        atoms = system(name)
        builders = chosen(MD, options.only)
        rows += measured(f"MD {name}", {k: build(atoms) for k, build in builders.items()}, len(atoms), options)
    for name in ["molecule21", "water63"] if "train" in options.what else []:
        frames, batch_size = training_set(name)
        builders = chosen(TRAINING, options.only)
        candidates = {k: build(frames, batch_size) for k, build in builders.items()}
        rows += measured(f"training {name}", candidates, batch_size * len(frames[0]), options)
    for name in ["elements", "channels", "cutoff"] if "scaling" in options.what else []:
        builders = chosen(scaling(name), options.only)
        rows += measured(name, {k: build() for k, build in builders.items()}, 1372, options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(rows, indent=2) + "\n")
    (options.out / "speed.md").write_text(table(rows))
    print(table(rows))


def chosen(builders: dict[str, Any], only: list[str] | None) -> dict[str, Any]:
    """The candidates asked for."""
    return {k: b for k, b in builders.items() if only is None or any(part in k for part in only)}


def measured(work: str, candidates: dict[str, Work | None], n_atoms: int, options: Any) -> list[dict[str, Any]]:
    """Time every candidate in every round; return one record for each, in µs per atom and call."""
    present = {name: f for name, f in candidates.items() if f is not None}
    clock = time.process_time if options.threads == 1 else time.perf_counter
    repeats = {name: warmed_up(f) for name, f in present.items()}
    samples: dict[str, list[float]] = {name: [] for name in present}
    for k in range(options.rounds):
        print(f"\r{work}: round {k + 1}/{options.rounds}", end="", file=sys.stderr, flush=True)
        for name, f in present.items():
            started = clock()
            for _ in range(repeats[name]):
                f()
            samples[name].append(1e6 * (clock() - started) / (repeats[name] * n_atoms))
    print(file=sys.stderr, flush=True)
    return records(work, samples, options.threads)


def records(work: str, samples: dict[str, list[float]], threads: int) -> list[dict[str, Any]]:
    """Return one record for each candidate from the times of its rounds, in µs per atom."""
    first = next(iter(samples.values()), [])
    return [
        {
            "work": work,
            "candidate": name,
            "threads": threads,
            "us_per_atom": statistics.median(times),
            "quartiles": statistics.quantiles(times, n=4)[::2],
            "ratio_to_first": statistics.median(t / t_0 for t, t_0 in zip(times, first, strict=True)),
        }
        for name, times in samples.items()
    ]


def warmed_up(f: Work) -> int:
    """Call until everything is compiled and cached; return how many calls last a fifth of a second."""
    for _ in range(3):
        f()
    started = time.perf_counter()
    f()
    return max(1, round(0.2 / (time.perf_counter() - started)))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown table."""
    lines = ["| work | candidate | µs/atom (quartiles) | relative |", "|---|---|---|---|"]
    for row in rows:
        low, high = row["quartiles"]
        times = f"{row['us_per_atom']:.1f} ({low:.1f}–{high:.1f})"
        lines.append(f"| {row['work']} | {row['candidate']} | {times} | {row['ratio_to_first']:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
