"""How large a model is that may come from a stranger: its variables, and what is in memory while it answers to one image.

Nothing is allocated for that. The model is built with shapes alone, for one image of a known size, and the sizes of what goes from layer
to layer are added up in the order they are computed, each until its last reader has had it. What a layer makes and drops within itself
is not seen by Keras, so `INSIDE` knows it.
"""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import keras
from keras.src.backend.common import global_state
from keras.src.ops.image import Resize

from kerastl.errors import UntrustedFile

MOST_ACTIVATIONS = 2**30  # bytes for one image; EfficientNetV2-L at 480 pixels holds 0.1 GB
MOST_STEPS = 1_000  # of a loop that is written out step by step
MOST_STEPS_RUN = 100_000  # of a loop that is run
BYTES = 4  # of a number, at least: a CPU computes in float32
REMEDY = "Take a smaller image size, or rebuild the model"


@dataclass(frozen=True)
class Sizes:
    """What a model asks for: numbers in its variables, and bytes while it answers to one image."""

    variables: int
    activations: int


def sizes_of(config, is_keras, side, source):
    """Count what a model asks for.

    In a thread of its own: what Keras notes there, as variables still to be filled and names already taken, ends with it.

    Args:
        config: of the model, checked.
        is_keras: of a .keras file; otherwise of an .h5.
        side: height and width of the image, where the model takes any.
        source: the file, named in errors.

    Returns:
        A `Sizes`.

    Raises:
        UntrustedFile: a layer asks for more memory than `MOST_ACTIVATIONS`, or for a loop without end.
    """
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(_count, config, is_keras, side, source).result()


def _count(config, is_keras, side, source):
    import tensorflow as tf
    from keras.src.legacy.saving import json_utils, saving_utils

    config = _for_one_image(config, side)
    with tf.Graph().as_default(), keras.StatelessScope(initialize_variables=False):
        if is_keras:
            model = keras.saving.deserialize_keras_object(config)
        else:
            model = saving_utils.model_from_config(json_utils.decode(json.dumps(config)))
        # All that were made, not the model's alone: a layer that nothing is connected to is made as well.
        made = global_state.get_global_attribute("uninitialized_variables", [])
        variables = sum(math.prod(variable.shape) for variable in made)
        return Sizes(variables, _most_at_once(model, _inputs(model, side), source))


def _inputs(model, side):
    """The inputs of one image, where the model knows them only in part; None where it knows them."""
    known = getattr(model, "inputs", None) or ()
    if all(None not in tensor.shape for tensor in known):
        return None
    return [keras.KerasTensor(_known_shape(list(tensor.shape), side), tensor.dtype) for tensor in known]


def _for_one_image(config, side):
    """The config with its inputs made one image: layers that repeat or join batches show what they do to it."""
    inner = config.get("config")
    layers = inner.get("layers", ()) if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
    known = {id(it): _known(it, side) for it in (*layers, inner) if isinstance(it, dict)}
    new = [known.get(id(layer), layer) for layer in layers]
    if isinstance(inner, list):
        return {**config, "config": new}
    return {**config, "config": {**known[id(inner)], "layers": new}} if layers and isinstance(inner, dict) else config


def _known(layer, side):
    """A layer's config, or a model's, without what is unknown in the shape of its input."""
    if isinstance(layer.get("config"), dict):
        return {**layer, "config": _known(layer["config"], side)}
    shapes = {key: layer[key] for key in ("batch_shape", "batch_input_shape", "build_input_shape") if layer.get(key)}
    return {**layer, **{key: _known_shape(shape, side) for key, shape in shapes.items()}}


def _known_shape(shape, side):
    if isinstance(shape, dict):  # a tuple, as an older Keras wrote it
        return {**shape, "items": _known_shape(shape.get("items"), side)}
    if not isinstance(shape, list):
        return shape
    ends = {0: 1, len(shape) - 1: 3}
    return [ends.get(place, side) if length is None else length for place, length in enumerate(shape)]


def _most_at_once(model, inputs, source):
    """Bytes that are in memory at once; with `inputs`, for these instead of those that the model was made for."""
    graph = getattr(model, "_functional", None) or model
    if not hasattr(
        graph, "_nodes_by_depth"
    ):  # a Sequential that was never told what it takes, or a class of somebody's
        raise UntrustedFile(
            f"{source}: {model.name[:80]!r} is no graph of layers; expected a model with its inputs. Begin it with keras.Input, or call it "
            "on an image, and save it again"
        )
    nodes = [it for depth in sorted(graph._nodes_by_depth, reverse=True) for it in graph._nodes_by_depth[depth]]
    last = {id(tensor): place for place, node in enumerate(nodes) for tensor in node.input_tensors}
    last |= {id(tensor): len(nodes) for tensor in graph.outputs}
    tensors = {id(ours): ours for ours in graph.inputs}
    if inputs:
        tensors = {id(ours): given for ours, given in zip(graph.inputs, inputs, strict=True)}
    anew, leaving, live = bool(inputs), {}, sum(map(_bytes, tensors.values()))
    most = live
    for place, node in enumerate(nodes):
        if not node.operation or node.is_input:
            continue
        given = [tensors[id(tensor)] for tensor in node.input_tensors]
        outputs = node.outputs
        if anew:
            arguments, keywords = node.arguments.fill_in(tensors)
            outputs = keras.tree.flatten(node.operation.compute_output_spec(*arguments, **keywords))
        if any(None in it.shape for it in outputs):
            outputs, anew = [_completed(node.operation, given, it, source) for it in outputs], True
        tensors |= {id(ours): found for ours, found in zip(node.outputs, outputs, strict=False)}
        made = sum(map(_bytes, outputs))
        live += made
        most = max(most, live + _inside(node.operation, given, outputs, source))
        if most > MOST_ACTIVATIONS:
            raise UntrustedFile(
                f"{source}: its layer {node.operation.name[:80]!r} makes {[it.shape for it in outputs][:3]} of one image: with "
                f"what else is needed then, {most:,} bytes; expected at most {MOST_ACTIVATIONS:,}. {REMEDY}"
            )
        gone = max((last.get(id(tensor), place) for tensor in node.outputs), default=place)
        leaving[gone] = leaving.get(gone, 0) + made
        live -= leaving.pop(place, 0)
    return most


def _completed(layer, inputs, output, source):
    """An output whose shape has sides that Keras does not work out, though those of the input are known."""
    letters, _, after = getattr(layer, "equation", "").replace(" ", "").partition("->")
    sides = dict(zip(letters.split(",")[0], inputs[0].shape, strict=False)) if "." not in letters else {}
    shape = [
        sides.get(letter) if side is None else side for side, letter in zip(output.shape, after, strict=False)
    ] or [None]
    if None in shape or len(shape) != len(output.shape):
        raise UntrustedFile(
            f"{source}: its layer {layer.name[:80]!r} makes {output.shape} of one image: nobody knows how much that is; "
            f"expected sizes. {REMEDY}"
        )
    return keras.KerasTensor(shape, output.dtype)


def _bytes(tensor):
    return math.prod(tensor.shape) * BYTES


def _inside(layer, inputs, outputs, source):
    """Bytes that a layer needs within itself, beside what it is given and what it makes."""
    return next((look(layer, inputs, outputs, source) for kinds, look in INSIDE if isinstance(layer, kinds)), 0)


def _model(layer, inputs, outputs, source):
    return _most_at_once(layer, inputs, source)


def _each_step(layer, inputs, outputs, source):
    """A layer that is called once for each step in time, written out."""
    batch, steps, *rest = inputs[0].shape
    _bound(layer, steps, MOST_STEPS, source)
    one = keras.KerasTensor((batch, *rest), inputs[0].dtype)
    return steps * _inside(layer.layer, [one], [], source)


def _recurrent(layer, inputs, outputs, source):
    layer = getattr(layer, "forward_layer", layer)
    _bound(layer, inputs[0].shape[1], MOST_STEPS if layer.unroll else MOST_STEPS_RUN, source)
    return 4 * sum(map(_bytes, outputs))


def _bound(layer, steps, most, source):
    if steps and steps > most:
        raise UntrustedFile(
            f"{source}: its layer {layer.name[:80]!r} takes {steps:,} steps, one after another; expected at most {most:,}. {REMEDY}"
        )


def _heads(layer, inputs, outputs, source):
    """Scores of each place for each place, in each head."""
    query, value = inputs[0].shape, inputs[1 if len(inputs) > 1 else 0].shape
    if isinstance(layer, keras.layers.MultiHeadAttention):
        heads, width, axes = layer.num_heads, max(layer.key_dim, layer.value_dim or 0), layer._attention_axes
    else:
        heads, width, axes = layer.num_query_heads, layer.head_dim, (1,)
    places, others = math.prod(query[:-1]), math.prod(value[:-1])
    return BYTES * heads * (2 * places * math.prod(value[axis] for axis in axes) + width * (places + 2 * others))


def _scores(layer, inputs, outputs, source):
    query, value = inputs[0].shape, inputs[1].shape
    deep = query[-1] if isinstance(layer, keras.layers.AdditiveAttention) else 1
    return 2 * BYTES * math.prod(query[:-1]) * value[-2] * deep


def _space(shape, channels_last=True):
    return shape[1:-1] if channels_last else shape[2:]


def _convolved(layer, inputs, outputs, source):
    """Dilation moves pixels apart into a batch, after padding; a separable one has all its depths in between."""
    last = layer.data_format == "channels_last"
    space, channels = _space(inputs[0].shape, last), inputs[0].shape[-1 if last else 1]
    spread = zip(space, layer.dilation_rate, layer.kernel_size, strict=True)
    padded = math.prod(side + (rate * size if rate > 1 else 0) for side, rate, size in spread)
    depth = getattr(layer, "depth_multiplier", None) or 1
    if isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D):
        padded = max(padded, math.prod(space) * depth)
    return BYTES * padded * channels


def _padded_to_ratio(layer, inputs, outputs, source):
    if not layer.pad_to_aspect_ratio:
        return 0
    height, width = _space(inputs[0].shape, layer.data_format != "channels_first")
    wanted = layer.size if hasattr(layer, "size") else (layer.height, layer.width)
    tall, wide = max(height, width * wanted[0] // wanted[1]), max(width, height * wanted[1] // wanted[0])
    return _bytes(inputs[0]) // max(1, height * width) * tall * wide


def _gathered(layer, inputs, outputs, source):
    sides = zip(inputs[0].shape, outputs[0].shape, strict=True)
    return 3 * BYTES * math.prod(max(before, after) for before, after in sides)


def _one_hot(layer, inputs, outputs, source):
    count = getattr(layer, "num_tokens", None) or len(getattr(layer, "bin_boundaries", None) or ()) + 1
    return _bytes(inputs[0]) * count


L = keras.layers
INSIDE = (
    (keras.Model, _model),
    (L.TimeDistributed, _each_step),
    ((L.RNN, L.Bidirectional), _recurrent),
    ((L.MultiHeadAttention, L.GroupQueryAttention), _heads),
    ((L.Attention, L.AdditiveAttention), _scores),
    (
        (L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D, L.SeparableConv1D, L.SeparableConv2D),
        _convolved,
    ),
    ((L.Resizing, Resize), _padded_to_ratio),
    ((L.AdaptiveAveragePooling1D, L.AdaptiveAveragePooling2D, L.AdaptiveAveragePooling3D), _gathered),
    ((L.AdaptiveMaxPooling1D, L.AdaptiveMaxPooling2D, L.AdaptiveMaxPooling3D), _gathered),
    ((L.CategoryEncoding, L.Discretization), _one_hot),
)
