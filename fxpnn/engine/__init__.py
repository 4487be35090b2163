"""The integer engine: run a fixed network bit for bit as the hardware would.

``inference.Engine(fixed)`` prepares a network once: the proofs of ``fxpnn.proofs`` choose the loops
for each layer, ``assembler`` writes them as a program, and ``network.memory_plan`` places its
tensors. Calling the engine with images returns raw words; ``Engine.run`` returns a ``Run``, with
the counts of overflows and saturations in each layer. ``fxpnn.infer`` is the short form.

The results equal those of ``fxpnn.golden`` in every value and count, for any batch and any number
of threads.
"""
