"""A setting that its type does not allow is told in one sentence: its name, what is wanted, what it may have meant."""

from pathlib import Path

import pytest
from runs import refusal

DESCRIPTOR = "--potential.descriptor"
CLASSES = "potential.descriptor must be one of ACE, ACSF"
CONFIG = """
potential: {descriptor: {class_path: ACE, init_args: {cutoff: 4.0, n_radial: 4}}, hidden: [8]}
data: {train: train.xyz}
"""
WRONG = {
    (f"{DESCRIPTOR}.init_args.cutof", "5"): "there is no option --potential.descriptor.init_args.cutof; "
    "did you mean --potential.descriptor.init_args.cutoff?",
    (f"{DESCRIPTOR}.cutof", "5"): "did you mean --potential.descriptor.init_args.cutoff?",
    (f"{DESCRIPTOR}.init_args", "{cutof: 5}"): "did you mean --potential.descriptor.init_args.cutoff?",
    (f"{DESCRIPTOR}.init_args", "5"): "potential.descriptor.init_args must be settings by name, got 5",
    (
        f"{DESCRIPTOR}.init_args.cutoff",
        "five",
    ): "potential.descriptor.init_args.cutoff must be a number or auto, got five",
    (f"{DESCRIPTOR}.init_args.l_max", "2.5"): "init_args.l_max must be a whole number, got 2.5",
    (f"{DESCRIPTOR}.init_args.channels", "many"): "init_args.channels must be a whole number or auto, got many",
    (
        f"{DESCRIPTOR}.init_args.elements",
        "[Cu, 1]",
    ): "elements must be a list of strings such as [Cu,Au], got [Cu, 1]",
    (DESCRIPTOR, "ACX"): CLASSES,
    (f"{DESCRIPTOR}.class_path", "ACEX"): "got ACEX; did you mean ACE?",
    (f"{DESCRIPTOR}.class_path", "nnpot.ACEX"): "got nnpot.ACEX; did you mean ACE?",
    (f"{DESCRIPTOR}.class_path", "torch.nn.Linear"): "got torch.nn.Linear",
    (DESCRIPTOR, "[ACE]"): CLASSES,
    (DESCRIPTOR, "{clas_path: ACE}"): "did you mean --potential.descriptor.class_path?",
    (DESCRIPTOR, "{class_path: ACE, cutoff: 5}"): "potential.descriptor.cutoff must stand under init_args",
    (DESCRIPTOR, "{class_path: ACSF, init_args: {g2: [[1, x]]}}"): "g2 must be a list of lists of 2 numbers, got [[1",
    ("--uncertainity", "false"): "there is no option --uncertainity; did you mean --uncertainty?",
    ("--potential.hiden", "[3]"): "there is no option --potential.hiden; did you mean --potential.hidden?",
    ("--potential.hidden", "[a]"): "potential.hidden must be a list of whole numbers such as [32,64], got [a]",
    ("--potential.hidden", "[4, -5]"): "hidden must be at least one unit for each layer, got 4, -5",
    ("--potential.atomic_energies", "{Cu: x}"): "one of least_squares, isolated_atoms or numbers by name, got {Cu: x}",
    ("--potential.heads", "[spins]"): "nnpot: --potential.heads must be some of charges, each once, got spins",
    ("--potential", "5"): "potential must be one of NeuralNetworkPotential",
    ("--loss", "{forcs: 1}"): "there is no option --loss.forcs; did you mean --loss.forces?",
    ("--loss", "3"): "loss must be settings by name (energy, forces",
    ("--loss.zzz", "3"): "there is no option --loss.zzz; loss has energy, forces",
    ("--optimizer.method", "adm"): "optimizer.method must be one of adamw, soap, got adm; did you mean adamw?",
    ("--optimizer.ema", "aut"): "optimizer.ema must be a number or auto, got aut; did you mean auto?",
    ("--trainer.compile", "yes"): "trainer.compile must be one of auto, on, off, got yes",
    ("--trainer.gradient_clip", "-1"): "gradient_clip must not be negative, got -1",
    ("--data", "train.xyz"): "data must be settings by name (train",
    ("--data", "{train: x, cache: on}"): "YAML takes on and off for true and false: write 'on' with quotes",
    ("--data.train.x", "3"): "a file of structures has no setting x; there are file, weight, group",
    (
        "--data.train",
        "[a.xyz, 3]",
    ): "data.train must be a path, settings by name or a list of paths or settings by name",
    ("--data.train", "a.xyz", "{file: b.xyz, wieght: 2}"): "has no setting wieght; did you mean weight?",
    ("--data.validation", "{weight: 2}"): "beside --data.validation.weight there must be file, one path",
    ("--data.keys.enrgy", "E"): "there is no option --data.keys.enrgy; did you mean --data.keys.energy?",
    ("--data.cache_gib", "-1"): "cache_gib and pairs_gib must not be negative, got -1",
    ("--lr", "0.1"): "there is no option --lr; did you mean --optimizer.lr?",
    ("--plan=maybe",): "plan must be true or false, got maybe",
    ("--plan", "maybe"): "--plan is a switch, which has no value but true or false; leave out maybe",
    ("--seed", "-1"): "seed must be from 0",
    ("--seed",): "--seed needs a value: a whole number",
    ("--resume",): "--resume needs a value: a path",
    ("--config", "nowhere.yaml"): "there is no configuration nowhere.yaml",
}


@pytest.mark.parametrize("options", WRONG, ids=" ".join)
def test_a_wrong_setting_of_a_training(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    line = refusal(capsys, "train", "--config", config, *options)
    assert WRONG[options] in line
    assert not {"<class", "Namespace", "typing", "Parser key", "Subtypes"} & set(line.split())
    assert len(line) < 300


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export", "info", "sample"])
def test_a_wrong_option_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, command, "a", "b", "c", "--zzzz", "1")
    assert line.startswith("nnpot: there is no option --zzzz; the command has --")


@pytest.mark.parametrize(
    ("option", "value", "answer"),
    [
        (
            "--to",
            "pakage",
            "to must be one of lammps, aot, package, metatomic, n2p2, got pakage; did you mean package?",
        ),
        ("--dtype", "float16", "dtype must be one of float32, float64, got float16"),
    ],
)
def test_a_wrong_choice_of_an_export(option: str, value: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer in refusal(capsys, "export", "model.nnpot", "out", option, value)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(command: str, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, command, "model.nnpot", "data.xyz", *["out.xyz"][: command == "predict"], "--device", device)
    assert line.startswith("nnpot: --device must be one of cpu")
    assert line.endswith(f"on this machine, got {device}")


def test_what_was_meant_for_another_class_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    line = refusal(capsys, "train", "--config", config, f"{DESCRIPTOR}.class_path", "ACSF", "--seed", "x")
    assert line == "nnpot: --seed must be a whole number, got x"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a: [", "is not YAML (line 1"),
        ("only words", "holds no settings such as"),
        ("potential: {hiden: [3]}", "did you mean potential.hidden?"),
        ("data: {validation: }", "data.validation must be "),
        ("seed: null", "seed must be a whole number, got null"),
        ("trainer: {max_epochs: 1e1}", "trainer.max_epochs must be a whole number or auto, got 10.0"),
    ],
)
def test_a_wrong_configuration(text: str, answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert answer in refusal(capsys, "train", "--config", config, "--data.train", "train.xyz")


def test_an_option_does_not_mend_what_it_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("trainer: {devices: {arguments: {}, class: ZBL}}")
    line = refusal(capsys, "train", "train.xyz", "--config", config, "--trainer.devices", "1")
    assert (
        f"trainer.devices must be a whole number or a string, got {{arguments: {{}}, class: ZBL}} (settings: {config})"
        in line
    )


def test_a_name_that_no_file_can_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("train.xyz", "x" * 5000))
    line = refusal(capsys, "train", "--config", config)
    assert "file name too long: xxx" in line
    assert line.endswith(f"(settings: {config})")
    assert len(line) < 1000
