"""The networks of the lectures, as ONNX files beside a README of how each was made."""
