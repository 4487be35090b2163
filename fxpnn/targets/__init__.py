"""Fixed networks in the forms that other tools and hardware read.

``export.export`` writes QONNX or QDQ models, or a folder for hardware: hex files, C or Verilog,
each of the steps and tensors of ``lowering.lower``, with golden vectors. ``dump.write`` writes
every layer's words of one image, ``dump.read`` reads those of a device.
"""
