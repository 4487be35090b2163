"""MNIST is fetched whole and as published, or not at all, from whichever mirror can be trusted."""

import errno
import gzip
import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fxpnn.datasets import download, load_data, mnist
from fxpnn.datasets.catalog import verify
from fxpnn.datasets.download import fetch
from fxpnn.errors import DataError

CONTENTS = {
    "train-images-idx3-ubyte": bytes([0, 0, 8, 3, *(0, 0, 0, 2) * 3]) + bytes(range(8)),
    "train-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 5]),
    "t10k-images-idx3-ubyte": bytes([0, 0, 8, 3, 0, 0, 0, 1, *(0, 0, 0, 2) * 2]) + b"abcd",
    "t10k-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 1, 3]),
}
"""A little set of the names of MNIST."""

FIRST = "train-images-idx3-ubyte"
TOTAL = sum(map(len, CONTENTS.values()))


class Mirror:
    """A web server of this machine; ``answers`` holds what it sends for each path."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[str] = []
        self.silence = threading.Event()
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                if target := mirror.redirects.get(self.path):
                    self.send_response(302)
                    self.send_header("Location", target)
                    self.end_headers()
                elif self.path.startswith("/silent/"):
                    mirror.silence.wait()
                elif self.path.startswith("/drip/"):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(gzip.compress(b"")[:10])
                    while not mirror.silence.wait(0.02):
                        self.wfile.write(b"\0\0\0\xff\xff")  # an empty block
                elif self.path in mirror.answers:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(mirror.answers[self.path])
                else:
                    self.send_error(404)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror that serves the little set under ``/good``."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mirror = Mirror()
    mirror.answers = {f"/good/{name}.gz": gzip.compress(c) for name, c in CONTENTS.items()}
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    mirror.silence.set()
    mirror.server.shutdown()
    thread.join()
    mirror.server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the little set be what is published, and an empty folder the user's cache."""
    published = tuple(
        mnist.IdxFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    )
    train = mnist.Dataset(2, (published[0], published[1]), bundled=False)
    monkeypatch.setattr(mnist, "PUBLISHED", published)
    monkeypatch.setitem(mnist.DATASETS, "mnist:train", train)
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache" / "mnist")
    return tmp_path / "cache" / "mnist"


def held(folder: Path) -> dict[str, bytes]:
    """Give every file of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fetch_brings_what_load_data_loads(mirror: Mirror, cache: Path) -> None:
    """The training set cannot be loaded before, and can be after, by name and by folder."""
    with pytest.raises(
        DataError, match=r"^mnist:train: must be fetched first: fxpnn data fetch mnist$"
    ):
        load_data("mnist:train")
    assert fetch("mnist", mirrors=[f"{mirror.url}/good/"]) == cache
    assert held(cache) == CONTENTS
    for x, y in (
        load_data("mnist:train"),
        load_data("mnist", split="train"),
        load_data(cache, split="train"),
    ):
        assert x.reshape(2, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert y is not None
        assert y.tolist() == [7, 5]


def test_fetch_into_a_folder(mirror: Mirror, tmp_path: Path, cache: Path) -> None:
    """Another folder is made, and the cache stays as it was."""
    folder = tmp_path / "new" / "folder"
    assert fetch("mnist", folder, mirrors=[f"{mirror.url}/good"]) == folder
    assert held(folder) == CONTENTS
    assert not cache.exists()


def test_fetch_from_a_folder_of_this_machine(tmp_path: Path, cache: Path) -> None:
    """A mirror may be a local folder."""
    for name, content in CONTENTS.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    fetch("mnist", mirrors=[tmp_path.as_uri()])
    assert held(cache) == CONTENTS


def test_fetch_tells_its_progress(mirror: Mirror) -> None:
    """The count never falls, and ends at the total, also when all is there already."""
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    for _ in range(2):
        calls.clear()
        fetch("mnist", progress=progress, mirrors=[f"{mirror.url}/good"])
        assert {total for _, total in calls} == {TOTAL}
        assert sorted(calls) == calls
        assert calls[-1] == (TOTAL, TOTAL)


def test_fetch_keeps_what_is_as_published(mirror: Mirror, cache: Path) -> None:
    """Only what is missing or altered is fetched again; a gzip file counts as what it holds."""
    cache.mkdir(parents=True)
    labels = "t10k-labels-idx1-ubyte"
    (cache / FIRST).write_bytes(CONTENTS[FIRST])
    (cache / f"{labels}.gz").write_bytes(gzip.compress(CONTENTS[labels]))
    (cache / "train-labels-idx1-ubyte").write_bytes(b"altered")
    fetch("mnist", mirrors=[f"{mirror.url}/good"])
    assert mirror.asked == [
        "/good/train-labels-idx1-ubyte.gz",
        "/good/t10k-images-idx3-ubyte.gz",
    ]
    assert all(check.ok for check in verify("mnist", cache))


@pytest.mark.parametrize("stop", range(len(CONTENTS)))
def test_fetch_interrupted_goes_on(mirror: Mirror, cache: Path, stop: int) -> None:
    """Ctrl-C leaves whole files only, and the next run fetches the others."""
    before = sum(len(content) for content in list(CONTENTS.values())[:stop])

    def interrupt(done: int, total: int) -> None:
        if done > before:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("mnist", progress=interrupt, mirrors=[f"{mirror.url}/good"])
    assert held(cache) == dict(list(CONTENTS.items())[:stop])
    mirror.asked.clear()
    fetch("mnist", mirrors=[f"{mirror.url}/good"])
    assert len(mirror.asked) == len(CONTENTS) - stop
    assert held(cache) == CONTENTS


def altered(content: bytes) -> bytes:
    """Change one bit of the last byte."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: gzip.compress(altered(content)), "must have the published sha256"),
        (lambda content: gzip.compress(content)[:20], "must have the published sha256"),
        (lambda content: b"", "must have the published sha256"),
        (
            lambda content: gzip.compress(content + b"\0"),
            f"must unpack to {len(CONTENTS[FIRST])} bytes, not more",
        ),
        (
            lambda content: gzip.compress(bytes(1 << 25)),
            f"must unpack to {len(CONTENTS[FIRST])} bytes, not more",
        ),
        (
            lambda content: gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 50_000,  # empty blocks
            f"must unpack to {len(CONTENTS[FIRST])} bytes, not more",
        ),
        (
            lambda content: b"<html>",
            "Error -3 while decompressing data: incorrect header check",
        ),
    ],
    ids=["altered", "cut", "empty", "long", "bomb", "endless", "page"],
)
def test_fetch_passes_over_a_bad_mirror(
    mirror: Mirror, cache: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    """What is not as published is not kept: the next mirror is asked, or the reason given."""
    mirror.answers[f"/bad/{FIRST}.gz"] = spoil(CONTENTS[FIRST])
    url = f"{mirror.url}/bad/{FIRST}.gz"
    with pytest.raises(
        DataError, match=rf"^{re.escape(f'{FIRST}: cannot be fetched: {url}: {reason}')}$"
    ):
        fetch("mnist", mirrors=[f"{mirror.url}/bad"])
    assert held(cache) == {}
    fetch("mnist", mirrors=[f"{mirror.url}/bad", f"{mirror.url}/good"])
    assert held(cache) == CONTENTS


def test_fetch_names_what_every_mirror_said(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror without the file, one that stays silent and one that is away are told apart."""
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    mirrors = [f"{mirror.url}/none", f"{mirror.url}/silent", "http://127.0.0.1:1"]
    said = (
        f"{mirrors[0]}/{FIRST}.gz: Not Found; {mirrors[1]}/{FIRST}.gz: timed out; "
        f"{mirrors[2]}/{FIRST}.gz: [Errno {errno.ECONNREFUSED}] Connection refused"
    )
    with pytest.raises(DataError, match=rf"^{re.escape(f'{FIRST}: cannot be fetched: {said}')}$"):
        fetch("mnist", mirrors=mirrors)


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1"])
def test_fetch_speaks_https(mirror: Mirror, url: str) -> None:
    """Neither a mirror nor a redirect leads to another protocol."""
    message = f"{FIRST}: cannot be fetched: {url}/{FIRST}.gz: must be https or a local file"
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        fetch("mnist", mirrors=[url])
    mirror.redirects[f"/good/{FIRST}.gz"] = f"{url}/{FIRST}.gz"
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        fetch("mnist", mirrors=[f"{mirror.url}/good"])


def test_fetch_is_not_sent_to_local_files(mirror: Mirror, tmp_path: Path) -> None:
    """A mirror on the web cannot make it read this machine's files."""
    (tmp_path / "a.gz").write_bytes(gzip.compress(CONTENTS[FIRST]))
    mirror.redirects[f"/good/{FIRST}.gz"] = (tmp_path / "a.gz").as_uri()
    with pytest.raises(DataError, match=r"^[^\n]+ is not allowed$"):
        fetch("mnist", mirrors=[f"{mirror.url}/good"])


def test_fetch_follows_a_redirect(mirror: Mirror, cache: Path) -> None:
    """A mirror may send on to where a mirror may be."""
    for name in CONTENTS:
        mirror.redirects[f"/moved/{name}.gz"] = f"{mirror.url}/good/{name}.gz"
    fetch("mnist", mirrors=[f"{mirror.url}/moved"])
    assert held(cache) == CONTENTS


def test_fetch_unknown() -> None:
    """Only MNIST can be fetched or verified."""
    for command in (fetch, verify):
        with pytest.raises(DataError, match=r"^the data set must be mnist, not 'cifar10'$"):
            command("cifar10")


def test_fetch_without_mirrors() -> None:
    """No mirrors, no data."""
    with pytest.raises(DataError, match=rf"^{FIRST}: cannot be fetched: no mirrors$"):
        fetch("mnist", mirrors=[])


def test_fetch_where_no_folder_can_be(tmp_path: Path) -> None:
    """A folder that cannot be made gives one line."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"
    remedy = "name another folder, or set FXPNN_CACHE_DIR"
    message = f"{folder}: cannot be made: Not a directory; {remedy}"
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        fetch("mnist", folder)


def test_default_mirrors_are_https() -> None:
    """Two mirrors are known, by https."""
    assert len(download.MIRRORS) == 2
    assert all(url.startswith("https://") for url in download.MIRRORS)


def test_fetch_from_a_mirror_that_drips(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that sends a byte now and then is left when the time for a file is over."""
    monkeypatch.setattr(download, "TOTAL_TIME", 0.2)
    url = f"{mirror.url}/drip/{FIRST}.gz"
    message = f"{FIRST}: cannot be fetched: {url}: must arrive within 0 seconds"
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        fetch("mnist", mirrors=[f"{mirror.url}/drip"])


def test_fetch_where_no_thread_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes gives one line."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    url = f"file://{tmp_path}/train-images-idx3-ubyte.gz"
    reason = f"{url}: must have a thread to arrive by; the system gives none"
    message = f"train-images-idx3-ubyte: cannot be fetched: {reason}"
    with pytest.raises(DataError, match=rf"^{re.escape(message)}$"):
        fetch("mnist", tmp_path / "to", mirrors=[f"file://{tmp_path}"])
