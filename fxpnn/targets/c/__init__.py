"""C99 for microcontrollers: a network as one function, its constants apart, and a test.

``export.write`` gives the files. Each step of the lowering is a function of its own, written by the
module of its family; the helpers that these call are written once, and only those.
"""
