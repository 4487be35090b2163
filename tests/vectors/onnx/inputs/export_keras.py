"""Make the model of this folder that is Keras's, as tf2onnx exports it.

Run by hand, in the environment of ``../export_keras.py``; the tests need only the file it writes:

    python tests/vectors/onnx/inputs/export_keras.py

Images lie with the channels last. Weights are random, from a seed.
"""

from pathlib import Path

import keras
import onnx
import tensorflow as tf
import tf2onnx
from keras import layers

FOLDER = Path(__file__).parent


def main() -> None:
    """Write the file."""
    keras.utils.set_random_seed(0)
    image, beside = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="beside")
    maps = layers.Conv2D(4, 3, activation="relu")(image)
    hidden = layers.Dense(8, activation="tanh")(beside)
    joined = layers.Concatenate()([layers.Flatten()(maps), hidden])
    model = keras.Model([image, beside], layers.Dense(5, activation="softmax")(joined))
    signature = [
        tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image"),
        tf.TensorSpec((None, 3), tf.float32, name="beside"),
    ]
    exported, _ = tf2onnx.convert.from_keras(model, [signature], opset=15)
    onnx.save(exported, FOLDER / "keras-joined.onnx")


if __name__ == "__main__":
    main()
