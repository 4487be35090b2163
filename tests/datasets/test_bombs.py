"""Small files of every form that promise much are one line each, before memory is taken."""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.test_images import chunk, header, png
from tests.datasets.test_npz import npy, pack, plain

resource = pytest.importorskip("resource", reason="limits of memory are those of Unix")

ROOM = 192 << 20
"""So many bytes more may be taken than before: what a file of nothing may unpack to, and some."""

LOADER = f"""
import json, resource, sys
from PIL import Image, JpegImagePlugin, PngImagePlugin
from fxpnn.datasets import load_data
from fxpnn.errors import DataError
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {ROOM},) * 2)
said = {{}}
for path in sys.argv[1:]:
    try:
        said[path] = f"loaded {{load_data(path).x.shape}}"
    except DataError as error:
        said[path] = str(error)
print(json.dumps(said))
"""

MUCH = 1 << 28


@cache
def zeros() -> bytes:
    """Pack 256 MiB of zeros, without ever holding it."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(MUCH >> 20)), packer.flush()])


def unpacking(path: Path) -> None:
    """Write an archive whose array is 256 MiB of zeros, as its header and directory say."""
    np.savez_compressed(path, x=np.broadcast_to(np.uint8(0), (MUCH >> 10, 1 << 10)))


def lying(path: Path) -> None:
    """Write an archive whose directory says that its member is 256 MiB."""
    member = npy(plain(f"({MUCH // 4}, 1)"))
    content = bytearray(pack(path, {"x": member}).read_bytes())
    end = content.rindex(b"PK\1\2")
    struct.pack_into("<II", content, end + 20, *[len(member) + MUCH] * 2)
    path.write_bytes(content)


def jpeg(path: Path) -> None:
    """Write a JPEG of 65,500 x 65,500 pixels in some hundred bytes."""
    packed = io.BytesIO()
    Image.new("L", (8, 8)).save(packed, "JPEG")
    content = bytearray(packed.getvalue())
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, 65500, 65500)
    path.write_bytes(content)


def idx(*sizes: int) -> bytes:
    """Spell how an IDX file starts."""
    return b"\0\0\x08" + struct.pack(f">B{len(sizes)}I", len(sizes), *sizes)


BOMBS: dict[str, Callable[[Path], object]] = {
    "unpacking.npz": unpacking,
    "lying.npz": lying,
    "shape.npy": lambda path: path.write_bytes(npy(plain(f"({MUCH}, {MUCH})"), bytes(64))),
    "header.npy": lambda path: path.write_bytes(
        b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b" " * 4096
    ),
    "shape.idx": lambda path: path.write_bytes(idx(2**32 - 1, 2**32 - 1, 28) + bytes(64)),
    "shape.idx.gz": lambda path: path.write_bytes(gzip.compress(idx(MUCH, 28, 28))),
    "unpacking.idx.gz": lambda path: path.write_bytes(
        gzip.compress(idx(MUCH >> 10, 32, 32)) + zeros()
    ),
    "endless.idx.gz": lambda path: path.write_bytes(gzip.compress(idx(1, 4, 4)) + zeros()),
    "size.png": lambda path: path.write_bytes(header(2**31 - 1, 2**31 - 1)),
    "pixels.png": lambda path: path.write_bytes(
        header(8192, 8192, colour=2) + chunk(b"IDAT", zeros()[:1000]) + chunk(b"IEND", b"")
    ),
    "text.png": lambda path: path.write_bytes(
        png(1, 1, b"a", extra=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 28))))
    ),
    "size.jpg": jpeg,
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="its own size is not known")
def test_no_small_file_takes_much_memory(tmp_path: Path) -> None:
    """Where less than 200 MB can be had, each is refused by a line about it."""
    paths = {name: tmp_path / name for name in BOMBS}
    for name, write in BOMBS.items():
        write(paths[name])
        assert paths[name].stat().st_size < 3 << 20
    command = [sys.executable, "-c", LOADER, *map(str, paths.values())]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    for path in map(str, paths.values()):
        assert re.match(rf"{re.escape(path)}: (x |gzip data )?must ", said[path]), said[path]
        assert "\n" not in said[path]
