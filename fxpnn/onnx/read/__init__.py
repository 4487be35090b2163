"""From a graph of ONNX operators to a network."""
