"""Numba-compiled loops on arrays: they check nothing, the engine above them checks everything.

The private words of these loops:

- *row*: one position of a layer of products: an image of a dense layer, a pixel of a convolution.
- *tap*: a place of a window; it may lie outside the map.
- *lane*: one of the 16 outputs that a vector holds; *column*: the outputs of 16 lanes.
- *block*: the 32 outputs that vectors of a depthwise convolution hold; also some images.
- *pair*: two words that are neighbours in memory, and in each lane the two weights that meet them.
- *four*: four bytes, words of 8 bits, in the place of a pair, and four weights in each lane.
- *segment*: pairs that are summed in 32 bits at once. A *chunk* is a segment whose sum provably
  fits 32 bits; segments of clamped sums are the steps between two looks at a bound.
- *tile*: the rows whose sums stay in registers together: 8, 5 or 2 by the processor.
- *strip*: rows that are summed, then cast, before the next ones are, so that their sums stay in the
  first-level cache (compilers call it strip mining): 240. A depthwise convolution's are the rows of
  some lines, made from one frame. Sums *leave* for words strip by strip, or directly from
  registers.
- *frame*: a map with its padding of zeros around it; also the tuple that says how a layer lies.
- *run*: words that a move copies: where the first lies and goes, and three loops around it.
- *level* sums: those that begin with what makes them 0 at the format's least word, so that a bit
  tells what is out of range; *near* ones are such whose bits above 32 need not be kept.
"""
