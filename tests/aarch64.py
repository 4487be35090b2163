"""The engine's and kernels' tests on aarch64, under emulation: the same bits on another processor.

Run ``python -m tests.aarch64`` in the project's folder; whatever follows is handed to pytest. It
needs Debian's ``qemu-user-static``, and ``dpkg --add-architecture arm64`` with package lists that
are up to date. Debian's Python for arm64 and the wheels of the dependencies are unpacked in a
folder, which ``FXPNN_AARCH64`` names where it is to be kept for the next run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMULATOR = "qemu-aarch64-static"
PYTHON = "usr/bin/python3.11"
DEBIAN = (
    *("python3.11", "python3.11-minimal", "libpython3.11-stdlib", "libpython3.11-minimal"),
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3"),
    *("libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1", "libcrypt1"),
)
"""What Python and compiled wheels link to."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WHEELS = (*PROJECT["dependencies"], "pytest", "hypothesis")
ENGINE = "tests/engine/test_inference.py::"
TESTS = (
    "tests/engine/test_same_bits.py",
    "tests/engine/test_octets.py",
    f"{ENGINE}test_engine_is_the_golden_model",
    f"{ENGINE}test_every_layer_is_the_golden_model",
    f"{ENGINE}test_accumulators_at_their_limit",
    f"{ENGINE}test_results_do_not_depend_on_threads_or_batch",
    "tests/kernels/test_softmax.py",
)
"""What takes some minutes; a test of one loop compiles it anew, which takes far longer."""
CHOSEN = ("-m", "not slow", "-q", "-x", "-p", "no:cacheprovider")


def unpack_python(root: Path) -> None:
    """Unpack Debian's Python for arm64, and what it links to, in a folder."""
    root.mkdir(parents=True)
    names = [f"{name}:arm64" for name in DEBIAN]
    with tempfile.TemporaryDirectory() as folder:
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for package in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)


def unpack_wheels(site: Path) -> None:
    """Unpack the wheels for aarch64 in a folder."""
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", *platforms]
    command += ["--implementation", "cp", "--python-version", "3.11", "--target", str(site)]
    subprocess.run([*command, *WHEELS], check=True)


def run(folder: Path, arguments: list[str]) -> int:
    """Run pytest by the emulated Python; return its exit status."""
    root, site = folder / "root", folder / "site"
    if not (root / PYTHON).exists():
        unpack_python(root)
    if not site.exists():
        unpack_wheels(site)
    given = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHOME": ""}
    environment = {**os.environ, **given, "OPENBLAS_NUM_THREADS": "1"}
    command = [EMULATOR, "-L", str(root), str(root / PYTHON), "-m", "pytest", *CHOSEN]
    done = subprocess.run([*command, *(arguments or TESTS)], cwd=ROOT, env=environment)
    return done.returncode


def main(arguments: list[str]) -> int:
    """Run the tests in a folder that is kept if the environment names one."""
    if shutil.which(EMULATOR) is None:
        print(f"{EMULATOR} must be installed: Debian's qemu-user-static has it", file=sys.stderr)
        return 2
    if kept := os.environ.get("FXPNN_AARCH64"):
        return run(Path(kept), arguments)
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
