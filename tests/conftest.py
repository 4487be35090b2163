"""Give every test run a cache of compiled kernels of its own, before anything imports numba.

Numba does not notice an edit in a callee's module, so a kept cache could run yesterday's kernel.
"""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="fxpnn-numba-")
atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)

# The first example of a kernel compiles it, and a busy machine may be slow to draw the others.
settings.register_profile("fxpnn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fxpnn")
