"""Where the process begins: nothing is imported here that takes time.

Until the command line can end in one line, an interruption ends the process as the system would.
"""

import _signal  # what ``signal`` is made of: it is there already, where that imports ``enum``


def run() -> None:
    """Run the command line of this process, and exit."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from . import main

    main.run()
