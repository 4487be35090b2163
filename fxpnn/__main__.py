"""``python -m fxpnn`` is the command line."""

from fxpnn.cli.entry import run

if __name__ == "__main__":
    run()
