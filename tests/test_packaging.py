"""What is installed: every package with its files, one command, one version."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import fxpnn

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_below(folder: str, name: str) -> set[str]:
    """Name the packages that a folder of the tree holds, as they are imported."""
    found = (ROOT / folder).rglob("__init__.py")
    return {".".join((name, *path.parent.relative_to(ROOT / folder).parts)) for path in found}


def test_every_package_is_listed() -> None:
    """The list of packages is the tree: what is missing there would be missing in the wheel."""
    setup = PROJECT["tool"]["setuptools"]
    expected = packages_below("fxpnn", "fxpnn")
    for name, folder in setup["package-dir"].items():
        expected |= packages_below(folder, name)
    assert sorted(setup["packages"]) == sorted(expected)


def test_every_data_file_is_listed() -> None:
    """Every file in a package that is no Python belongs to a pattern of the package's data."""
    setup = PROJECT["tool"]["setuptools"]
    for package in setup["packages"]:
        folder = ROOT / package.replace(".", "/")
        for name, place in setup["package-dir"].items():
            if f"{package}.".startswith(f"{name}."):
                folder = ROOT / package.replace(name, place).replace(".", "/")
        patterns = ("*.py", *setup["package-data"].get(package, ()))
        stray = [
            path.name
            for path in folder.iterdir()
            if path.is_file() and not any(path.match(pattern) for pattern in patterns)
        ]
        assert stray == [], package


def test_entry_point_is_the_command_line() -> None:
    """The installed command is the function that runs the command line."""
    (script,) = entry_points(group="console_scripts", name="fxpnn")
    assert script.value == PROJECT["project"]["scripts"]["fxpnn"] == "fxpnn.cli.entry:run"
    run = script.load()
    assert run.__module__ == "fxpnn.cli.entry"
    assert run.__name__ == "run"


def test_version_is_the_same_everywhere() -> None:
    """The package says the version that it is built as."""
    assert PROJECT["project"]["version"] == fxpnn.__version__
