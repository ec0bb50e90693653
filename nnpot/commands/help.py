"""What `nnpot COMMAND --help` shows: examples and what is used most; without PyTorch, so at once."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

INDENT, COLUMN, WIDEST = 2, 30, 100
"""Columns of the text: where options begin, where their meaning begins, where lines end at most."""


@dataclass(frozen=True)
class Short:
    """What is said of a command without asking further.

    Attributes:
        purpose: What it does, in a line.
        usage: What comes after the name of the command.
        examples: Arguments, and what they do.
        options: Those that are used most, by how they are written, and what they mean.
    """

    purpose: str
    usage: str
    examples: Mapping[str, str]
    options: Mapping[str, str]


_KEYS = {"--keys.energy NAME": "where the energies are, if not under ASE's own names; so for forces, stress, …"}
_DEVICE = {"--device cuda": "calculate on a GPU"}

COMMANDS = {
    "train": Short(
        "train a potential on energies, forces and stresses",
        "FILE… [options]",
        {
            "train.xyz --out runs/mine": "the default recipe, ace: a folder with the model, its errors and pictures",
            "train.xyz --plan": "only tell time and memory",
            "--resume runs/mine": "go on with a run that was interrupted",
            "more.xyz --from runs/mine --out runs/tuned": "learn on from a model",
        },
        {
            "--recipe NAME": "a configuration that comes with nnpot: ace, ace-large, acsf",
            "--config FILE": "one of your own; every option on the command line overrides it",
            "--data.validation FILE": "what validates; otherwise a part of the training structures, 0.1 for a tenth",
            "--data.keys.energy NAME": "where the energies are, if not under ASE's own names; so for forces, stress, …",
            "--potential.descriptor.init_args.cutoff Å": "reach of the potential, a key of the descriptor",
            "--loss.energy W": "weight of the energies; so for forces, stress, dipole, charges",
            "--trainer.max_epochs N": "an end before the training has found its own",
            "--trainer.max_time 90m": "end after this time (90m, 2h, HH:MM:SS, hours), to go on by --resume",
            "--trainer.accelerator gpu": "train on a GPU",
            "--repulsion": "learn beside the ZBL repulsion of the nuclei, instead of a core put on afterwards",
            "--uncertainty false": "a model without error bars",
            "--check false": "no short check of the model in the end",
            "--members N": "train a committee",
            "--out FOLDER": "of this run",
            "--seed N": "of the split, the first weights and the order of the structures",
        },
    ),
    "init": Short(
        "look at data and write a configuration for them, with comments",
        "FILE [options]",
        {
            "train.xyz": "writes nnpot.yaml, for nnpot train --config nnpot.yaml",
            "train.xyz --recipe acsf --out acsf.yaml": "by another recipe",
        },
        {"--recipe NAME": "ace, ace-large or acsf, or a configuration", "--out FILE": "configuration to write"},
    ),
    "doctor": Short(
        "what is wrong with labelled structures, before a training",
        "FILE… [options]",
        {
            "train.xyz": "a look at units, signs, outliers, copies, cells",
            "train.xyz test.xyz --plot data.png": "leaks between them as well, and a picture",
        },
        {
            "--cutoff Å": "of the potential that is to be trained",
            "--json FILE": "everything for other programs",
            **_KEYS,
        },
    ),
    "evaluate": Short(
        "errors of a potential on labelled structures",
        "MODEL FILE [options]",
        {
            "runs/mine/model.nnpot test.xyz": "errors of energy, forces and stress, by configuration type and element",
            "runs/mine/model.nnpot test.xyz --plots pictures --json errors.json": "with pictures, and for programs",
        },
        {"--report test.html": "a page with a verdict, pictures, the worst structures", **_KEYS, **_DEVICE},
    ),
    "check": Short(
        "what a model is good for: exact, smooth, stable, physical; a verdict",
        "MODEL [FILE…] [options]",
        {
            "runs/mine test.xyz": "lines that have passed or failed, each with its limit, and a verdict in words",
            "runs/mine test.xyz --temperature 600 --plot check.png": "for dynamics at 600 K, and a picture",
            "runs/mine test.xyz --exports [mine.pt2,lammps]": "exported files beside the model",
        },
        {
            "--temperature K": "of its use; otherwise from forces and energies",
            "--structures FILE": "what it is to be used on; otherwise the labelled structures",
            "--exports LIST": "files and folders that nnpot export wrote",
            "--short": "only what takes a minute",
            "--json FILE": "everything for other programs",
            "--plot FILE": "a picture",
            **_KEYS,
        },
    ),
    "compare": Short(
        "trainings side by side: errors, time, speed, learning curves",
        "RUN… [options]",
        {
            "runs/a runs/b": "a table, each with the errors on its validation structures",
            "runs/* --data test.xyz --plot compare.png": "all on the same structures, and a picture",
        },
        {"--data FILE…": "labelled structures on which all are tested", "--json FILE": "for other programs", **_KEYS},
    ),
    "learning-curve": Short(
        "would more data help? trainings on parts of them",
        "FILE… [options]",
        {
            "train.xyz --test test.xyz": "an eighth, a quarter, a half and all of the structures",
            "all.xyz --sizes [50,100,200] --max_epochs 50": "these numbers, shorter; a tenth is set aside as a test",
            "all.xyz --plan": "only tell what would be trained, and how long it takes",
        },
        {
            "--test FILE…": "labelled structures to test on",
            "--sizes LIST": "numbers of training structures",
            "--recipe NAME": "ace, ace-large or acsf, or a configuration",
            "--out FOLDER": "for the trainings; what is there already is not done again",
        },
    ),
    "predict": Short(
        "energies, forces and stresses of structures",
        "MODEL FILE OUT [options]",
        {"runs/mine/model.nnpot structures.xyz predicted.xyz": "the same structures with predicted labels"},
        _DEVICE,
    ),
    "export": Short(
        "write a potential for LAMMPS and other programs",
        "MODEL OUT --to KIND [options]",
        {
            "runs/mine/model.nnpot lammps": "a folder for LAMMPS, with an input to copy",
            "runs/mine/model.nnpot mine.pt2 --to package": "a compiled package for C++, without Python",
            "runs/mine/model.nnpot n2p2 --to n2p2": "files for n2p2, CP2K and RuNNer, of an ACSF potential",
        },
        {
            "--to KIND": "lammps, aot, package, metatomic or n2p2",
            "--dtype float64": "calculate in double precision",
            "--target NAME": "the processor that a package is for, if not this one, such as x86-64-v3",
        },
    ),
    "core": Short(
        "hold atoms apart that are closer than in the training data",
        "MODEL --data FILE [options]",
        {"old.nnpot --data train.xyz": "writes old-core.nnpot, the same but for atoms closer than in train.xyz"},
        {"--out FILE": "model file to write"},
    ),
    "calibrate": Short(
        "let a finished model know how large its errors are likely to be",
        "MODEL FILE… [options]",
        {"old.nnpot test.xyz --train train.xyz": "writes old-calibrated.nnpot, with the same energies and forces"},
        {
            "--train FILE": "what it was trained on; otherwise γ says how far an atom is from the other structures",
            "--out FILE": "model file to write",
        },
    ),
    "merge": Short(
        "between a model and one fine-tuned from it: old knowledge comes back",
        "OLD NEW --data FILE… [options]",
        {
            "runs/cold runs/hot --data hot.xyz cold.xyz": "errors by share, and model-merged.nnpot, half way between",
            "runs/cold runs/hot --data hot.xyz cold.xyz --test test.xyz --share 0.25": "closer to the old one",
        },
        {
            "--data FILE…": "what the fine-tuned model was trained on, old structures among it",
            "--test FILE…": "labelled structures for the table, best such as neither was trained on",
            "--share NUMBER": "of the fine-tuned model in the weights",
            "--out FILE": "model file to write",
            **_KEYS,
        },
    ),
    "select": Short(
        "choose the structures of a pool that are most worth labelling",
        "POOL… --model MODEL [-n N] [options]",
        {
            "pool.xyz --model runs/mine -n 100": "selected.xyz: unlike what the model knows and one another; a picture",
            "md/*.xyz --model runs/mine -n 100 --train train.xyz": "nothing that is like what is labelled already",
        },
        {
            "--model FILE": "model with error bars, as nnpot train makes it",
            "-n N": "how many to choose, 100 if it is not said",
            "--train FILE…": "what is labelled already: no copies of it, nor atoms much closer than there",
            "--max_gamma G": "γ beyond which a structure is of no use",
            "--out FILE": "structures to write, the most worthwhile first",
            "--plot FILE": "picture to write",
        },
    ),
    "info": Short(
        "what a model file holds; --system: what nnpot runs on",
        "[MODEL] [--system]",
        {
            "runs/mine/model.nnpot": "elements, cutoff, modules, training data, versions",
            "--system": "versions, processor, kernels, threads, GPU and speed, for a report of a fault",
        },
        {},
    ),
    "completion": Short(
        "what makes a shell complete commands and options",
        "[--shell SHELL]",
        {
            "> ~/.local/share/bash-completion/completions/nnpot": "for bash",
            '--shell zsh > "${fpath[1]}/_nnpot.zsh"': "for zsh; source it in ~/.zshrc",
            "--shell fish > ~/.config/fish/completions/nnpot.fish": "for fish",
        },
        {},
    ),
    "sample": Short(
        "label structures from molecular dynamics with any ASE calculator",
        "START OUT [options]",
        {
            "start.xyz train.xyz --calculator ase.calculators.emt.EMT": "frames at three temperatures and strains",
            "start.xyz train.xyz --temperatures [300,600] --snapshots 20": "other temperatures, in K, more frames",
        },
        {
            "--calculator NAME": "import path of a class or function that makes an ASE calculator",
            "--temperatures LIST": "in K, such as [300,800]",
            "--strains LIST": "relative changes of the cell vectors, such as [-0.02,0,0.02]",
            "--snapshots N": "labelled frames of each trajectory",
            "--interval_fs T": "time between them, in fs",
        },
    ),
}
"""What there is to know about each command at first, without PyTorch being imported."""


def overview() -> str:
    """Return what `nnpot --help` shows."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {short.purpose}" for name, short in COMMANDS.items()]
    return "\n".join(["usage: nnpot COMMAND [options]; nnpot COMMAND --help lists them", "", *lines])


def asked_for(arguments: Sequence[str]) -> str | None:
    """Return the topic that is asked for by `--help TOPIC`, empty for `--help` alone; None if no help is asked for."""
    for option in ("--help", "-h"):
        if option in arguments:
            rest = arguments[arguments.index(option) + 1 :]
            return rest[0].removeprefix("--") if rest else ""
    return None


def short(command: str) -> str:
    """Return examples of a command and the options that are used most."""
    of = COMMANDS[command]
    lines = [f"usage: nnpot {command} {of.usage}", "", f"{of.purpose[:1].upper()}{of.purpose[1:]}.", ""]
    for arguments, purpose in of.examples.items():
        lines += [f"  nnpot {command} {arguments}", f"      {purpose}"]
    lines += ["", "options:"] if of.options else []
    for option, meaning in of.options.items():
        lines += entry(option, meaning)
    return "\n".join([*lines, "", f"every option: nnpot {command} --help all"])


def entry(option: str, meaning: str) -> list[str]:
    """An option with its meaning beside it, or below if it is long."""
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    text = textwrap.wrap(meaning, max(30, width - COLUMN), break_long_words=False, break_on_hyphens=False)
    indented = [" " * COLUMN + line for line in text]
    start = " " * INDENT + option
    if len(start) + 2 > COLUMN or not text:
        return [start, *indented]
    return [f"{start:{COLUMN}}{text[0]}", *indented[1:]]
