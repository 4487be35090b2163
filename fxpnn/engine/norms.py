"""How vectors are normalised: the constants of each place of a vector."""

import numpy as np

from fxpnn.engine.program import Places
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import LayerNorm
from fxpnn.network.norms import lifts


def features(node: FixedNode, layer: LayerNorm, source: QFormat) -> Places:
    """Return what ``kernels.norms`` takes: gamma, beta, bits that are added, bits that are cut.

    Beta stands at the scale of what is cast: that of the quotients and the bits added to them.
    """
    fracs = node.fracs(len(layer.gamma))
    up = lifts(source, fracs, node.output_format)
    beta = layer.beta << up - source.frac
    return np.stack([layer.gamma.astype(np.int64), beta, up, fracs + up - node.output_format.frac])
