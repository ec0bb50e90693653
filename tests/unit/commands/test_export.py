"""`nnpot export`: what it writes is what the other program takes."""

import importlib.util
import shutil
import textwrap
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import read, write
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.calculator import NNPotCalculator
from nnpot.commands.export import export
from nnpot.engines.lammps import plugin
from nnpot.formats import aot
from nnpot.io import save

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(network_potential(acsf(g4=(), g5=())), tmp_path / "model.nnpot")


@pytest.mark.slow
@needs_compiler
def test_a_package(model: Path, tmp_path: Path) -> None:
    main(["export", str(model), "--to", "package", str(tmp_path / "out" / "model.pt2"), "--dtype", "float64"])
    atoms = bulk("Cu")
    packaged = NNPotCalculator(tmp_path / "out" / "model.pt2").get_potential_energy(atoms)
    assert packaged == pytest.approx(NNPotCalculator(model, dtype="float64").get_potential_energy(atoms), abs=1e-12)


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed")
def test_a_folder_for_lammps(model: Path, tmp_path: Path) -> None:
    main(["export", str(model), "--to", "lammps", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["in.lammps", "model.pt2"]
    script = tmp_path / "out" / "in.lammps"
    assert f'pair_coeff * * "{tmp_path / "out" / "model.pt2"}" H O Cu Au\n' in script.read_text()
    assert plugin.build().is_file()


def test_paths_are_one_word_of_an_input(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "build", lambda: None)
    monkeypatch.setattr(aot, "write", lambda _, path, *__: path)
    for name, quote in (("my $new #1 'model'", '"'), ('12" model', "'")):
        (tmp_path / name).mkdir()
        export(str(model), str(tmp_path / name))
        lines = (tmp_path / name / "in.lammps").read_text().splitlines()
        assert f"pair_coeff * * {quote}{tmp_path / name / 'model.pt2'}{quote} H O Cu Au" in lines


def test_the_input_for_lammps_runs_with_the_atoms_that_the_output_tells_how_to_write(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nnpot")
    monkeypatch.setattr(plugin, "build", lambda: None)
    monkeypatch.setattr(aot, "write", lambda _, path, *__: path)
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    export(str(model), "out")
    lines, run = caplog.messages[-2:]
    assert run == "then: lmp -in out/in.lammps"
    write("start.xyz", bulk("Au", cubic=True), format="extxyz")
    exec(textwrap.dedent(lines.split("\n", 1)[1]), {})
    atoms = read("data.lammps", format="lammps-data", atom_style="atomic")
    assert set(atoms.symbols) == {"Au"}
    script = Path("out/in.lammps").read_text()
    order = [
        line.removeprefix("# ").split() for line in script.splitlines() if line.startswith(("# mass", "pair_coeff"))
    ]
    assert [words[:2] for words in order[:-1]] == [["mass", str(k)] for k in (1, 2, 3, 4)]
    assert [float(words[2]) for words in order[:-1]] == pytest.approx([1.008, 15.999, 63.546, 196.967], abs=1e-3)
    assert order[-1][-4:] == ["H", "O", "Cu", "Au"]
    assert all(f"#   {line}" in script for line in textwrap.dedent(lines.split("\n", 1)[1]).splitlines())


def test_an_unknown_program_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(model), str(tmp_path / "out"), "--to", "gromacs"])
    assert stopped.value.code == 2
    assert "lammps" in capsys.readouterr().err


def test_a_missing_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(tmp_path / "nothing.nnpot"), str(tmp_path / "out")])
    assert stopped.value.code == 1
    assert "nothing.nnpot" in capsys.readouterr().err


def test_files_for_n2p2(tmp_path: Path) -> None:
    descriptor = acsf(g1=False, g3=(), g4=(), g5=())
    potential = network_potential(descriptor).replaced(linear=False)
    save(potential, tmp_path / "model.nnpot")
    main(["export", str(tmp_path / "model.nnpot"), "--to", "n2p2", str(tmp_path / "out")])
    assert {"input.nn", "scaling.data"} < {path.name for path in (tmp_path / "out").iterdir()}
    atoms = bulk("Cu")
    wanted = NNPotCalculator(tmp_path / "model.nnpot", dtype="float64").get_potential_energy(atoms)
    assert NNPotCalculator(tmp_path / "out", dtype="float64").get_potential_energy(atoms) == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("metatomic") is None, reason="metatomic is not installed")
def test_a_metatomic_model(model: Path, tmp_path: Path) -> None:
    main(["export", str(model), "--to", "metatomic", str(tmp_path / "model.pt")])
    assert (tmp_path / "model.pt").stat().st_size > 1000


def test_a_package_that_is_missing_is_named(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("no", name="metatomic")

    monkeypatch.setattr("nnpot.commands.export.importlib.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"needs metatomic; pip install .metatomic-torch<0\.2. metatomic-ase"):
        export(str(model), str(tmp_path / "model.pt"), "metatomic")


def test_the_processor_is_handed_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("nnpot.formats.aot.write", lambda *arguments: given.extend(arguments[1:4]))
    main(["export", str(model), str(tmp_path / "model.pt2"), "--to", "package", "--target", "x86-64-v3"])
    assert given == [str(tmp_path / "model.pt2"), "float32", "x86-64-v3"]


def test_the_old_name_is_taken_with_a_warning(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[object] = []
    monkeypatch.setattr("nnpot.formats.aot.write", lambda *arguments: given.append(arguments[1]))
    main(["export", str(model), str(tmp_path / "model.pt2"), "--to", "package"])
    assert given == [str(tmp_path / "model.pt2")]
    assert "--to package is now called --to aot" in caplog.messages


@pytest.mark.parametrize("to", ["n2p2", "metatomic"])
def test_what_is_not_compiled_is_for_no_processor(to: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"written for {to} runs on any processor; leave out --target x86-64-v3"):
        export(str(model), str(tmp_path / "out"), to, target="x86-64-v3")
