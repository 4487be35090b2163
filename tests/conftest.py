"""Give every test run a cache of its own: what it keeps is not the user's, nor from yesterday."""

import atexit
import os
import shutil
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings

os.environ["FXPNN_CACHE_DIR"] = tempfile.mkdtemp(prefix="fxpnn-cache-")
atexit.register(shutil.rmtree, os.environ["FXPNN_CACHE_DIR"], ignore_errors=True)

# The first example of a kernel compiles it, and a busy machine may be slow to draw the others.
settings.register_profile("fxpnn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fxpnn")


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a test in which a kernel did not compile: the fallback's words would pass for its own.

    The library only logs it, once a process; so every later test of the process fails too.
    """
    fallback = sys.modules.get("fxpnn.kernels.build.fallback")
    if fallback is not None and fallback._failed:
        pytest.fail(f"a kernel did not compile as expected, in {item.nodeid} or before it")
