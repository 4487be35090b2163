"""From a network of integers to a program, and from images to raw words."""
