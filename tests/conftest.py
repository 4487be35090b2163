"""Give every test run a cache of its own: what it keeps is not the user's, nor from yesterday."""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

os.environ["FXPNN_CACHE_DIR"] = tempfile.mkdtemp(prefix="fxpnn-cache-")
atexit.register(shutil.rmtree, os.environ["FXPNN_CACHE_DIR"], ignore_errors=True)

# The first example of a kernel compiles it, and a busy machine may be slow to draw the others.
settings.register_profile("fxpnn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fxpnn")
