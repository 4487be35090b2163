"""An ONNX file as a checked graph of operators."""
