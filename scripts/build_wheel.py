"""Build a wheel with the C++ kernels inside, for Linux or macOS, on any machine.

python scripts/build_wheel.py [PLATFORM] [--out dist]       (pip install ".[wheel]" brings the compiler)

The kernels are compiled by zig, which is clang with the headers of every C library that it links
to: nothing of this machine gets into the wheel.  It holds no code for Python, and thus serves every version of it.
"""

import argparse
import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnpot.machine.build import OPTIONS, STANDARD, WIDEST, build

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "nnpot" / "native"
SHIPPED = "nnpot/native/shipped"
"""Where :mod:`nnpot.native.library` looks for libraries."""
ZIG = (sys.executable, "-m", "ziglang", "c++")
TIME = (2020, 1, 1, 0, 0, 0)
"""Of all files that are put in: the same source gives the same wheel."""


@dataclass(frozen=True)
class Platform:
    """What a wheel is for.

    Args:
        target: As zig calls it; with the oldest release of glibc or macOS.
        tag: As pip calls it.
        processors: Those for which there is a library, as `NEEDED` in nnpot/native/library.py and as clang call them.
    """

    target: str
    tag: str
    processors: dict[str, str]


PLATFORMS = {
    "linux-x86_64": Platform(
        "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", {"x86-64-v3": "x86_64_v3", "x86-64-v4": "x86_64_v4"}
    ),
    "linux-aarch64": Platform("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", {"aarch64": "generic"}),
    "macos-arm64": Platform("aarch64-macos.11.0", "macosx_11_0_arm64", {"arm64": "apple_m1"}),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("platform", nargs="?", choices=PLATFORMS, default=this_platform())
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        pure = pure_wheel(Path(folder))
        libraries = compiled(PLATFORMS[options.platform], Path(folder))
        wheel = joined(pure, libraries, PLATFORMS[options.platform].tag, options.out)
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB, kernels for {', '.join(path.stem for path in libraries)}")


def this_platform() -> str:
    """Return the name of the platform that is here."""
    return f"{'macos' if sys.platform == 'darwin' else sys.platform}-{platform.machine()}"


def pure_wheel(folder: Path) -> Path:
    """Build the wheel without kernels, from a copy: an old `build` would bring files that are no more."""
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "configs", copy / "configs")
    shutil.copytree(ROOT / "nnpot", copy / "nnpot", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def compiled(wanted: Platform, folder: Path) -> list[Path]:
    """Compile the kernels for all processors of a platform."""
    os.environ.setdefault("ZIG_LOCAL_CACHE_DIR", str(folder / "zig"))  # else it is where this is started
    libraries = []
    for name, cpu in wanted.processors.items():
        path = folder / name / f"{name}.so"
        path.parent.mkdir()
        command = [*ZIG, "-target", wanted.target]
        options = [*OPTIONS, STANDARD, *([WIDEST.format(512)] if "x86_64" in wanted.target else [])]
        # linked for any processor, so that zig's C++ library, which goes in, is compiled once for all; without names
        build([*command, f"-mcpu={cpu}", *options], [*command, "-fPIC", "-s"], sorted(NATIVE.glob("*.cpp")), path)
        libraries.append(path)
    return libraries


def joined(pure: Path, libraries: Sequence[Path], tag: str, out: Path) -> Path:
    """Write the wheel for a platform: what is in the pure one, and libraries."""
    with zipfile.ZipFile(pure) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files |= {f"{SHIPPED}/{path.name}": path.read_bytes() for path in libraries}
    about, record = (next(name for name in files if name.endswith(f".dist-info/{end}")) for end in ("WHEEL", "RECORD"))
    files[about] = (
        files[about]
        .replace(b"Root-Is-Purelib: true", b"Root-Is-Purelib: false")
        .replace(b"none-any", f"none-{tag}".encode())
    )
    del files[record]
    rows = [f"{name},sha256={digest(content)},{len(content)}" for name, content in files.items()]
    files[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / pure.name.replace("none-any", f"none-{tag}")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    return wheel


def digest(content: bytes) -> str:
    """Return the digest of a file as a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
