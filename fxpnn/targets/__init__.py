"""Fixed networks in the forms that other tools and hardware read.

``quantized_onnx.export`` writes QONNX or QDQ models and returns what such a file cannot carry.
"""
