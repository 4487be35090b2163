"""Make the models of this folder that are Keras's, as tf2onnx exports them.

Run by hand, in an environment of its own; the tests need only the files it writes:

    pip install tensorflow-cpu==2.21.0 keras==3.15.1 tf2onnx==1.17.0
    python tests/vectors/onnx/export_keras.py

Their maps lie with the channels last, so that each begins and ends with a Transpose. Weights are
random, from a seed; batch normalizations have statistics that are not the identity. The LSTM
becomes ONNX's LSTM; a GRU would become a Loop, so its steps are written out.
"""

from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras import layers

FOLDER = Path(__file__).parent


def gelu(y: tf.Tensor) -> tf.Tensor:
    """Compute GELU by Erf, written out; Keras's own asks for Erfc, which ONNX has not."""
    return 0.5 * y * (1 + tf.math.erf(y / 2**0.5))


def decoder() -> keras.Model:
    """Small maps become larger ones in four ways."""
    x = made = keras.Input((3, 3, 4))
    x = layers.Conv2D(8, 3, padding="same", activation=gelu)(x)
    x = layers.Conv2DTranspose(6, 4, strides=2, padding="same", activation="selu")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, activation="mish")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2D(12, 3, padding="same")(x)
    x = layers.Lambda(lambda y: tf.clip_by_value(tf.nn.depth_to_space(y, 2), -1, 1))(x)
    return keras.Model(made, x)


def encoder() -> keras.Model:
    """Images become vectors: pixels to channels, maxima and means of maps, sums of lines."""
    x = made = keras.Input((12, 12, 1))
    x = layers.Lambda(lambda y: tf.nn.space_to_depth(y, 2))(x)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("softsign")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="hard_silu")(x)
    lines = layers.Lambda(lambda y: tf.reduce_max(tf.reduce_sum(y, 2), 1))(x)
    means = layers.Lambda(lambda y: tf.reduce_mean(y, [1, 2]))(x)
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), lines, means])
    return keras.Model(made, layers.Dense(5)(x))


def mixer() -> keras.Model:
    """A vector is repeated as rows, which are normalised, mixed and averaged."""
    x = made = keras.Input((16,))
    x = layers.RepeatVector(6)(layers.LayerNormalization()(x))
    x = layers.Conv1D(10, 3, padding="same", activation=gelu)(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Conv1D(16, 1, activation="hard_sigmoid")(x)
    return keras.Model(
        made, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    )


def loop(steps: int, layer: layers.Layer) -> keras.Model:
    """A sequence of vectors is read by a loop, whose last state tells the class."""
    x = made = keras.Input((steps, 3))
    return keras.Model(made, layers.Dense(4)(layer(x)))


def settle(model: keras.Model) -> keras.Model:
    """Give normalizations parameters and statistics that are not the identity."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization | layers.LayerNormalization):
            sizes = [weight.shape for weight in layer.get_weights()]
            layer.set_weights([random.uniform(0.5, 1.5, size) for size in sizes])
    return model


def main() -> None:
    """Write every model."""
    keras.utils.set_random_seed(0)
    for name, model, opset in (
        ("decoder", decoder(), 15),
        ("encoder", encoder(), 13),
        ("mixer", mixer(), 17),
        ("lstm", loop(6, layers.LSTM(5, bias_initializer="normal")), 17),
        ("gru", loop(3, layers.GRU(5, bias_initializer="normal", unroll=True)), 17),
    ):
        signature = (tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="x"),)
        exported, _ = tf2onnx.convert.from_keras(settle(model), signature, opset=opset)
        onnx.save(exported, FOLDER / f"keras-{name}.onnx")


if __name__ == "__main__":
    main()
