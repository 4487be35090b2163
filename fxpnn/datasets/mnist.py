"""The named parts of MNIST: their files, checksums and folders."""

from dataclasses import dataclass
from pathlib import Path

from fxpnn import data, files
from fxpnn.datasets.idx import locate
from fxpnn.errors import DataError

BUNDLED = Path(data.__path__[0])


@dataclass(frozen=True, slots=True)
class IdxFile:
    """A published file: its size in bytes and sha256 are those of its unpacked content."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set with a name: its files (images first, then labels), and whether it is bundled."""

    images: int
    files: tuple[IdxFile, IdxFile]
    bundled: bool = True

    @property
    def folder(self) -> Path:
        """Give the folder that its files lie in, or will."""
        return BUNDLED if self.bundled else cache_folder()


DATASETS = {
    "mnist": Dataset(
        10_000,
        (
            IdxFile(
                "t10k-images-idx3-ubyte",
                7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            IdxFile(
                "t10k-labels-idx1-ubyte",
                10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    ),
    "mnist:calibration": Dataset(
        1_000,
        (
            IdxFile(
                "calibration-images-idx3-ubyte",
                784_016,
                "964f929e568681616e81776c1097f3db5938f24fa9e0e8f2602341c96a32eccb",
            ),
            IdxFile(
                "calibration-labels-idx1-ubyte",
                1_008,
                "9efdd3f42e64c4d159a8c4833d095e87f870cc4d54b78600f9a8d13f58cc8af9",
            ),
        ),
    ),
    "mnist:train": Dataset(
        60_000,
        (
            IdxFile(
                "train-images-idx3-ubyte",
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            IdxFile(
                "train-labels-idx1-ubyte",
                60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        bundled=False,
    ),
}
"""The data sets that ``load_data`` knows by name."""

PUBLISHED = (*DATASETS["mnist:train"].files, *DATASETS["mnist"].files)
"""The four files of MNIST as its authors published them, that a mirror serves."""


def cache_folder() -> Path:
    """Give the folder of the user's cache that MNIST is fetched into."""
    return files.cache_folder("mnist")


def find(name: str, split: str | None = None) -> tuple[Path, Path] | None:
    """Find the files of images and labels of a data set, ``None`` where no set has that name.

    Raises:
        DataError: the set is not fetched, or has no such split.
    """
    if name not in DATASETS:
        return None
    if split is not None and name != "mnist":
        raise DataError(f"{name}: must be mnist where a split is chosen")
    dataset = DATASETS["mnist:train" if split == "train" else name]
    images, labels = (locate(dataset.folder, file.name) for file in dataset.files)
    if images is None or labels is None:
        raise DataError("mnist:train: must be fetched first: fxpnn data fetch mnist")
    return images, labels
