"""What chemists and students mistype, command by command: each is answered in one sentence that says what to write."""

import re
import shlex
from pathlib import Path

import pytest
from datasets import labelled_alloys, write
from runs import refusal

from nnpot import ZBL, save
from nnpot.__main__ import main

CONFIGURATIONS = {
    "tab": "trainer:\n\tmax_epochs: 3\n",
    "indent": "trainer:\n  max_epochs: 3\n   patience: 1\n",
    "list": "trainer:\n  - max_epochs: 3\n",
    "colon": "trainer:\n  max_epochs:3\n",
    "equals": "trainer: max_epochs=3\n",
    "comma": "optimizer: {lr: '0,001'}\n",
    "top": "max_epochs: 3\n",
    "dotted": "trainer.max_epoch: 3\n",
    "where": "potential: {descriptor: ACE, cutoff: 4.0}\n",
    "bare": "optimizer: {lr: 1e-3}\n",
    "deep": "data: {keys: {force: REF_forces}}\n",
    "zero": "trainer: {max_epochs: 0}\n",
}

TRAIN = {
    "--lr 0.1": "there is no option --lr; did you mean --optimizer.lr?",
    "--epochs 9": "there is no option --epochs; did you mean --trainer.max_epochs?",
    "--cutoff 5": r"did you mean --potential.descriptor.init_args.cutoff\?",
    "--r_max 5": r"did you mean --potential.descriptor.init_args.cutoff\?",
    "--batch-size 5": r"there is no option --batch-size; did you mean --data.batch_size\?",
    "--device cuda": r"did you mean --trainer.accelerator\?",
    "--model runs/a": r"did you mean --from\?",
    "--E0s average": r"did you mean --potential.atomic_energies\?",
    "--energy_key E": r"did you mean --(data.keys|loss).energy\?",
    "--restart_latest": r"did you mean --resume\?",
    "--keys.energy E": r"did you mean --data.keys.energy\?",
    "-o mine": r"there is no option -o of nnpot train; did you mean --out\?",
    "-v": "there is no option -v of nnpot train; usage: nnpot train FILE",
    "max_epochs=5": "max_epochs=5 is no file; an option begins with two dashes: --trainer.max_epochs=5",
    "-seed=5": "an option begins with two dashes: --seed=5",
    "--plan 1": "--plan is a switch, .* leave out 1",
    "--repulsion zbl": "--repulsion must be auto, true or false, got zbl",
    "--config": "--config needs a value: a file of settings",
    "--config acsf": r"there is no configuration acsf; did you mean --recipe acsf\?",
    "--config configs/ace.yaml": r"did you mean --recipe ace\?",
    "--config runs": "runs is a folder, so no configuration",
    "--config n2p2": "n2p2 is a folder, .* to start from the potential of n2p2 in it: --from n2p2",
    "--recipe": "--recipe needs a name: ace, ",
    "--recipe ACSF": r"did you mean acsf\?",
    "--recipe acsf.yaml": r"there is no recipe 'acsf.yaml'; did you mean acsf\?",
    "--out": "--out needs a value: a path",
    "--trainer.max_epochs": "--trainer.max_epochs needs a value: a whole number or auto",
    "--trainer.max_epochs=": "--trainer.max_epochs must be a whole number or auto, got nothing",
    "--trainer.max_epochs 1e3": "--trainer.max_epochs must be .*, got 1e3; write 1000",
    "--trainer.max_epochs 0": "--trainer.max_epochs must be at least 1, got 0",
    "--trainer.max_epochs 1e15": "--trainer.max_epochs must be .* got 1e15",
    "--trainer.max_time 2x": "--trainer.max_time must be a number of hours, a time such as 90m, 2h, 1d12h, or 'HH",
    "--seed 1 --seed=2": "--seed is given twice, 1 and 2; leave out one of them",
    "--plan --plan": "--plan is given twice; leave out one of them",
    "--from runs/a --from_model runs/a": "--from is given twice, runs/a and runs/a; leave out one of them",
    "--data.validation 0.1 --data.validation auto": "--data.validation is given twice, 0.1 and auto; leave out one",
    "--loss.energy 0 --loss.forces 0 --loss.stress 0": (
        r"loss weights must not all be 0: give one, such as --loss.energy 1 \(in \(eV/atom\)\^-2\) or --loss.forces 1 "
    ),
    "--loss.forces -1": r"loss weights must not be negative, got forces -1 \(eV/Å\)\^-2; 0 leaves a label out$",
    "--potential.activation [tanh,silu,relu]": (
        "--potential.activation must be one function or one for each of 2 hidden layers, got tanh, silu, relu"
    ),
    "--potential.descriptor.init_args.weighted_cutoff 99": r"weighted_cutoff must .*, got 99 Å with a cutoff of",
    "--potential.descriptor.init_args.weighted_layers 0": "weighted_layers must be positive, got 0$",
    "--trainer.accelerator cpuu": r"--trainer.accelerator must be one of auto, cpu, .*; did you mean cpu\?",
    "--optimizer adam": r"--optimizer must be settings by name .* did you mean --optimizer.method adamw\?",
    "--optimizer lr=0.1": r"did you mean --optimizer.lr 0.1\?",
    "--optimizer.lr -1": "--optimizer.lr must be positive, got -1.0",
    "--optimizer.lr 0,001": "--optimizer.lr must be a number, got 0,001; write 0.001",
    "--potential.descriptor acsf": r"--potential.descriptor must be one of ACE, ACSF, .* did you mean ACSF\?",
    "--potential.descriptor.cutoff 5A": "--potential.descriptor.init_args.cutoff must be .*; write 5$",
    "--potential.descriptor.init_args.l_max 99": "--potential.descriptor.init_args.l_max must lie in 0 … 4, got 99",
    "--potential.descriptor.init_args.elements Cu,Au": "a list of strings .*; write .Cu,Au.$",
    "--potential.hidden 64": "--potential.hidden must be a list of whole numbers .*, got 64; write .64.$",
    "--potential.hidden 64 64": "got 64 64; write .64,64.$",
    "--potential.hidden [64,": "write .64.$",
    "--potential.hidden [64, x]": r"got .64, x.$",
    "--data.validation 2": "--data.validation must be a fraction",
    "--data.train other.xyz": "the data are given twice, train.xyz and by --data.train",
    "--members 0": "--members must be at least 1, got 0",
    "--members 1.5": "--members must be a whole number, got 1.5",
    "--from runs/b": r"there is no model runs/b",
    "--from runs": r"the folder runs holds no model, .* did you mean runs/a\?",
    "--from train.xyz": "train.xyz is not a complete model",
    "--from runs/a --resume runs/a": "leave out one of them",
    "runs/a": "runs/a is a model, not data; to learn on from it: --from runs/a; usage: nnpot train FILE",
    "--config tab.yaml": "tab.yaml is not YAML .line 2: a tab; indent by blanks.",
    "--config indent.yaml": "indent.yaml is not YAML .line 3: it is indented otherwise",
    "--recipe ace --config list.yaml": r"trainer must be settings by name .*\(settings: list.yaml\)",
    "--config colon.yaml": "a blank must follow the colon, max_epochs: 3",
    "--config equals.yaml": r"did you mean trainer.max_epochs 3\? \(settings: equals.yaml\)",
    "--recipe ace --config comma.yaml": r"optimizer.lr must be a number, .*; write 0.001 \(settings: comma.yaml\)",
    "--config top.yaml": r"there is no setting max_epochs; did you mean trainer.max_epochs\? \(settings: top.yaml\)",
    "--config dotted.yaml": r"there is no setting trainer.max_epoch; did you mean trainer.max_epochs\?",
    "--config where.yaml": r"no setting potential.cutoff; did you mean potential.descriptor.init_args.cutoff\?",
    "--config bare.yaml": "give a recipe beside the rest, --recipe ace",
    "--config deep.yaml": r"no setting data.keys.force; did you mean data.keys.forces\? \(settings: deep.yaml\)",
    "--recipe ace --config zero.yaml": r"trainer.max_epochs must be at least 1, got 0 \(settings: zero.yaml\)",
}

OTHERS = {
    "train": "data are missing; usage: nnpot train FILE",
    "train --seed 3": "data are missing",
    "train --from runs/a": "data are missing",
    "train --resum runs/a": r"there is no option --resum; did you mean --resume\?",
    "train --resume runs": r"there is no checkpoint runs/last.ckpt to resume from",
    "evaluate": "model and data are missing; usage: nnpot evaluate MODEL FILE",
    "evaluate train.xyz runs/a": "train.xyz is no model, runs/a is one: have they changed places",
    "evaluate runs/a/model.npot train.xyz": r"there is no model .*; did you mean runs/a/model.nnpot\?",
    "evaluate --model runs/a --data train.xyz": "--model has its place without a name; usage: nnpot eval",
    "evaluate runs/a train.xyz --trainer.accelerator gpu": r"no option --trainer.accelerator; did you mean --device\?",
    "evaluate runs/a train.xyz --plot p": r"there is no option --plot; did you mean --plots\?",
    "evaluate runs/a train.xyz --json runs": r"--json must be a file .* did you mean runs/errors.json\?",
    "evaluate runs/a train.xyz --json": "--json needs a value: a path",
    "evaluate runs/a train.xyz --plots train.xyz": "--plots must be a folder to write into, got the file train.xyz",
    "merge": r"OLD \(a model\) and NEW \(fine-tuned from it\) are missing; usage: nnpot merge OLD NEW --data FILE",
    "merge runs/a": r"NEW \(fine-tuned from it\) is missing",
    "predict runs/a": r"structures and OUT \(where to write\) are missing; usage: nnpot predict MODEL FILE OUT",
    "predict": r"model, structures and OUT \(where to write\) are missing",
    "predict runs/a train.xyz runs": r"out must be a file .* got the folder runs; did you mean runs/structures.xyz\?",
    "predict runs/a train.xyz new.traj": "out must be a file of extended XYZ, got new.traj; write new.xyz",
    "predict runs/a train.xyz --out new.xyz": "--out has its place without a name",
    "export runs/a": r"OUT \(where to write\) is missing; usage: nnpot export MODEL OUT",
    "export runs/a out --to LAMMPS": r"--to must be one of .* did you mean lammps\?",
    "export runs/a out --format lammps": r"there is no option --format; did you mean --to\?",
    "info runs": r"holds no model, .* did you mean runs/a\?",
    "info runs/a runs/b": "runs/b is one word too many; usage: nnpot info",
    "doctor runs/a": "runs/a is a model, not data",
    f"train train.xyz --optimizer.lr {10**400}": r"--optimizer.lr must be .* got 1000+…",
    "doctor train.xyz --cutoff -3": "--cutoff must be positive, got -3",
    "doctor train.xyz --plot new.docx": "--plot must be a picture .* write new.png",
    "core runs/a train.xyz": "train.xyz is one word too many; usage: nnpot core MODEL --data FILE",
    "core runs/a --data.train train.xyz": "there is no option --data.train: that of nnpot core is --data",
    "core runs/a --data": "--data needs a value",
    "sample train.xyz new.xyz --temperatures 300": "--temperatures must be a list of numbers .*; write .300.$",
    "sample train.xyz new.xyz --temperatures 300K,500K": "write .300,500.$",
    "sample train.xyz new.xyz --temperature [300]": r"did you mean --temperatures\?",
    "sample train.xyz new.xyz --interval_fs -1": "--interval_fs must be positive, got -1.0 fs",
    "sample train.xyz new.xyz --calculator EMT": "'EMT' fails: no module is named",
    "sample train.xyz new.xyz --calculator os.getcwd": "fails: it makes a str",
    "sample train.xyz new.xyz --seed -1": "--seed must be from 0",
    "sample train.xyz train.xyz": "train.xyz holds the start structures, which would be lost",
    "init runs/a": "runs/a is a model, not data",
    "compare runs": r"there is no model.nnpot in runs; did you mean runs/a\?",
    "compare runs/a/model.nnpot": r"did you mean runs/a\?",
    "learning-curve train.xyz --max_epochs many": "--max_epochs must be a whole number, got many",
    "learning-curve train.xyz --sizes 5,8": "write .5,8.$",
    "learning-curve train.xyz --out train.xyz": "--out must be a folder to write into, got the file train.xyz",
    "completion zsh": "zsh is one word too many; usage: nnpot completion .--shell SHELL.",
    "completion --shell": "--shell needs a value: one of bash, zsh, fish",
    "TRAIN train.xyz": r"there is no command 'TRAIN'; did you mean train\?",
    "test runs/a train.xyz": r"did you mean evaluate\?",
    "fit train.xyz": r"did you mean train\?",
    "runs": "there is no command 'runs'; there are train, .*; nnpot --help describes them",
}

FOREIGN = re.compile(r"Traceback|Union|typing|Literal|Parser|argument -|Namespace|<class|Errno|<block|\0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where data, a model in the folder of a run, and configurations lie."""
    folder = tmp_path_factory.mktemp("desk")
    write(folder / "train.xyz", labelled_alloys(3))
    (folder / "runs/a").mkdir(parents=True)
    (folder / "n2p2").mkdir()
    (folder / "n2p2/input.nn").touch()
    save(ZBL(("Cu", "Au")), folder / "runs/a/model.nnpot")
    for name, text in CONFIGURATIONS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


LINES = {**{f"train train.xyz {options}": answer for options, answer in TRAIN.items()}, **OTHERS}


@pytest.mark.parametrize("line", LINES)
def test_a_sentence_says_what_to_write(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    said = refusal(capsys, *shlex.split(line))
    assert re.search(LINES[line], said), said
    assert not FOREIGN.search(said)
    assert len(said) < 420


@pytest.mark.parametrize(("line", "begins"), [("help train", "usage: nnpot train"), ("help", "usage: nnpot COMMAND")])
def test_help_is_a_command_too(line: str, begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(line.split())
    assert capsys.readouterr().out.startswith(begins)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
