"""A wheel with the kernels inside: what it holds, what it asks for, that it calculates where there is no compiler."""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from modules import loaded

from nnpot.native.library import NEEDED

ROOT = Path(__file__).parents[1]
build_wheel = loaded("scripts/build_wheel.py")
LARGEST = 15e6
GLIBC = (2, 17)
SHA256_OF_CODE = base64.urlsafe_b64encode(hashlib.sha256(b"code").digest()).decode().removesuffix("=")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="no zig, which compiles for wheels")
    if build_wheel.this_platform() not in build_wheel.PLATFORMS:
        pytest.skip("no wheels are made for this platform")
    out = tmp_path_factory.mktemp("dist")
    build_wheel.main(["--out", str(out)])
    (path,) = out.iterdir()
    return path


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in a wheel without kernels, in short."""
    path = tmp_path_factory.mktemp("pure") / "nnpot-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nnpot/__init__.py", "")
        archive.writestr("nnpot-0.1.0.dist-info/WHEEL", "Root-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("nnpot-0.1.0.dist-info/RECORD", "nnpot/__init__.py,,\n")
    return path


def library(folder: Path) -> Path:
    path = folder / "x86-64-v3.so"
    path.write_bytes(b"code")
    return path


def installed(wheel: Path, folder: Path) -> Path:
    """The Python of an environment with the wheel, and with the other packages that are here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    return folder / "bin" / "python"


def test_it_holds_the_libraries_and_says_so(pure: Path, tmp_path: Path) -> None:
    wheel = build_wheel.joined(pure, [library(tmp_path)], "manylinux_2_17_x86_64", tmp_path / "out")
    assert wheel.name == "nnpot-0.1.0-py3-none-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files["nnpot/native/shipped/x86-64-v3.so"] == "code"
    assert "Root-Is-Purelib: false\nTag: py3-none-manylinux_2_17_x86_64\n" in files["nnpot-0.1.0.dist-info/WHEEL"]
    assert files["nnpot-0.1.0.dist-info/RECORD"].splitlines()[2:] == [
        f"nnpot/native/shipped/x86-64-v3.so,sha256={SHA256_OF_CODE},4",
        "nnpot-0.1.0.dist-info/RECORD,,",
    ]


def test_the_same_source_gives_the_same_wheel(pure: Path, tmp_path: Path) -> None:
    made = [build_wheel.joined(pure, [library(tmp_path)], "some", tmp_path / out) for out in ("a", "b")]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_nnpot_looks_for_every_library_that_is_built() -> None:
    built = {name for platform in build_wheel.PLATFORMS.values() for name in platform.processors}
    assert built == set(NEEDED)


def test_the_workflow_builds_and_tries_every_platform_with_the_same_compiler() -> None:
    text = (ROOT / ".github" / "workflows" / "wheels.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs["build"]["strategy"]["matrix"]["platform"]) == set(build_wheel.PLATFORMS)
    assert {row["platform"] for row in jobs["try"]["strategy"]["matrix"]["include"]} == set(build_wheel.PLATFORMS)
    assert re.findall(r"ziglang==[\d.]+", text) == re.findall(r"ziglang==[\d.]+", (ROOT / "pyproject.toml").read_text())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_calculates_where_there_is_no_compiler(wheel: Path, tmp_path: Path) -> None:
    assert wheel.stat().st_size < LARGEST
    python = installed(wheel, tmp_path / "environment")
    shutil.copy(ROOT / "scripts" / "try_wheel.py", tmp_path)
    done = subprocess.run(
        [python, "try_wheel.py"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f": {tmp_path}/environment" in done.stdout
    assert not (tmp_path / ".cache" / "nnpot").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not shutil.which("objdump"), reason="no objdump")
def test_it_asks_for_an_old_glibc_and_for_no_openmp(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(tmp_path, names)
    assert names
    for name in names:
        asked = subprocess.run(
            ["objdump", "-p", "-T", tmp_path / name], capture_output=True, text=True, check=True
        ).stdout
        versions = [tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)", asked)]
        assert max(versions) <= GLIBC
        assert all(re.match(r"lib[cm]\.|ld-|libpthread|libdl", n) for n in re.findall(r"NEEDED +(\S+)", asked))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_environment_with_the_wheel_says_what_still_needs_a_compiler(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path / "environment")
    code = (
        "from nnpot import ACE, NeuralNetworkPotential\nfrom nnpot.formats import aot\n"
        "aot.write(NeuralNetworkPotential(ACE(4.0, ['Cu'], 1, 2, 1), hidden=(2,)), 'model.pt2')"
    )
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "FileNotFoundError: a package needs a C++ compiler, and there is none here; install g++" in done.stderr


@pytest.mark.slow
def test_the_recipes_are_in_the_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel.pure_wheel(tmp_path)) as archive:
        found = {name for name in archive.namelist() if name.startswith("nnpot/recipes/")}
        assert archive.read("nnpot/recipes/ace.yaml") == (ROOT / "configs/ace.yaml").read_bytes()
    assert found == {f"nnpot/recipes/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
