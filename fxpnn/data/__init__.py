"""Bundled MNIST images; see the README beside them for their authors and licence."""
