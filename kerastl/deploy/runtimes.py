"""The runtimes in which a file answers: Keras, SavedModel, ONNX, LiteRT. Pixels in, whatever it answers out."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kerastl.errors import MissingExtra, MissingWeights, UserError, brief, shortened
from kerastl.model.untrusted import load_untrusted

SIGNATURE = "serving_default"
ONNX_TYPES = {
    f"tensor({name})": getattr(np, kind)
    for name, kind in {"float": "float32", "double": "float64"}.items()
    | {name: name for name in ("float16", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")}.items()
}
PIXELS = {"bfloat16", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (16, 32, 64)), "uint8"}
FEW_SHADES = 16  # of a quantised input: one that holds no larger numbers takes pixels that were divided before


@dataclass(frozen=True)
class Opened:
    """A file in its runtime.

    Args:
        run: from an image batch, as `Classifier.raw` takes it, to a list of arrays, one of each output.
        shape: of the input, with None where it is open.
        outputs: from the name of each output to its number of columns, where it is a row of numbers for each image; else what it is.
        model: the `keras.Model`, or None.
    """

    run: Callable
    shape: tuple
    outputs: dict
    model: keras.Model | None = None


def open_keras(path):
    return of_keras(load_untrusted(path), path)


def of_keras(model, name):
    try:
        inputs = model.inputs or ()
    except AttributeError:  # a Sequential that has seen no image, or a class of somebody's own
        inputs = ()
    if len(inputs) != 1:
        told = f"{len(inputs)} inputs" if inputs else "no inputs yet"
        raise UserError(f"{name}: has {told}; expected one, of images, as by keras.Input")
    named = () if isinstance(model, keras.Sequential) or not isinstance(model.input, dict) else tuple(model.input)

    def run(images):
        found = model.predict_on_batch(dict.fromkeys(named, images) if named else images)
        return keras.tree.flatten(found)  # in the order of `model.outputs`, whatever they are kept in

    outputs = {
        f"{place}, {tensor.name}" if len(model.outputs) > 1 else tensor.name: columns_of(tensor.shape, tensor.dtype)
        for place, tensor in enumerate(model.outputs)
    }
    shape = tuple(model.inputs[0].shape)
    return Opened(_in_pieces(run, shape), shape, outputs, model)


def columns_of(shape, kind):
    """The columns of an output that is a row of numbers for each image; of any other, what it is.

    Args:
        shape: batch first; sides of 1 are left aside.
        kind: the name of its type.

    Example:
        >>> columns_of((None, 1, 1, 10), "float32"), columns_of((None,), "int64")
        (10, 'int64 of shape (None,)')
    """
    sides = [side for side in shape[1:] if side != 1] if shape else None
    numbers = "string" not in kind and "object" not in kind and kind != "bool"
    alone = len(shape or ()) == 1 and "int" in kind  # the number of the class, and nothing else
    if (
        sides is None
        or not numbers
        or alone
        or len(sides) > 1
        or not all(isinstance(it, int) and it > 0 for it in sides)
    ):
        return kind if shape is None else f"{kind} of shape {tuple(shape)}"
    return sides[0] if sides else 1


def row_of(found):
    """The same, of an answer to one image."""
    return columns_of(np.shape(found), str(found.dtype)) if hasattr(found, "dtype") else f"a {type(found).__name__}"


def open_saved_model(path):
    tf = importlib.import_module("tensorflow")
    loaded = tf.saved_model.load(str(path))
    names = sorted(loaded.signatures)
    if SIGNATURE not in names and len(names) != 1:
        raise UserError(
            f"{path}: has the signatures {', '.join(shortened(names)) or 'none'}; expected one alone, or one of the name {SIGNATURE}. "
            f"Save it with it: tf.saved_model.save(model, FOLDER, signatures={{{SIGNATURE!r}: function}})"
        )
    serve = loaded.signatures[SIGNATURE if SIGNATURE in names else names[0]]
    inputs = serve.structured_input_signature[1]
    if len(inputs) != 1:
        raise UserError(f"{path}: takes {', '.join(shortened(inputs)) or 'nothing'}; expected one input, of images")
    [(name, wanted)] = inputs.items()
    answers = sorted(serve.structured_outputs)  # TensorFlow gives them in another order each time
    dtype = _pixels(path, wanted.dtype.as_numpy_dtype)

    def run(images, loaded=loaded):  # a signature outlives its variables unless somebody holds the model
        found = serve(**{name: tf.constant(_cast(images, dtype))})
        return [found[answer].numpy() for answer in answers]

    shape = _sides(wanted.shape) or ()
    given = serve.structured_outputs
    outputs = {answer: columns_of(_sides(given[answer].shape), given[answer].dtype.name) for answer in answers}
    return Opened(_in_pieces(run, shape), shape, outputs)


def _sides(shape):
    return None if shape.rank is None else tuple(shape)


def open_onnx(path):
    session = _extra("onnxruntime", "onnx").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if len(session.get_inputs()) != 1:
        names = [it.name for it in session.get_inputs()]
        raise UserError(f"{path}: takes {', '.join(shortened(names)) or 'nothing'}; expected one input, of images")
    [image] = session.get_inputs()
    shape = tuple(side if isinstance(side, int) else None for side in image.shape)
    dtype = _pixels(path, ONNX_TYPES.get(image.type, image.type))

    def run(images):
        return session.run(None, {image.name: _cast(images, dtype)})

    outputs = {it.name: _of_onnx(it) for it in session.get_outputs()}
    return Opened(_in_pieces(run, shape), shape, outputs)


def _of_onnx(output):
    if output.type not in ONNX_TYPES:
        return output.type
    sides = [side if isinstance(side, int) else None for side in output.shape or ()]
    return columns_of(sides or None, ONNX_TYPES[output.type].__name__)


def open_litert(path):
    interpreter = _extra("ai_edge_litert.interpreter", "litert").Interpreter(model_path=str(path))
    images, answers = interpreter.get_input_details(), interpreter.get_output_details()
    if len(images) != 1:
        raise UserError(f"{path}: takes {len(images)} inputs; expected one, of images")
    [image] = images
    scale, zero = image["quantization"]
    if scale and (np.iinfo(image["dtype"]).max - zero) * scale < FEW_SHADES:
        low, high = ((limit - zero) * scale for limit in (np.iinfo(image["dtype"]).min, np.iinfo(image["dtype"]).max))
        raise UserError(
            f"{path}: takes pixels from {low:.3g} to {high:.3g}; expected a model that takes them as they are, 0 to 255"
        )
    dtype = image["dtype"] if scale else _pixels(path, image["dtype"])
    interpreter.allocate_tensors()

    def run(images):
        if images.shape != tuple(interpreter.get_input_details()[0]["shape"]):
            interpreter.resize_tensor_input(image["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], _cast(images, dtype, scale, zero))
        interpreter.invoke()
        return [_in_numbers(interpreter.get_tensor(it["index"]), *it["quantization"]) for it in answers]

    # Of what the file fixes, the size of a batch is in its operations too.
    fixed = image["shape_signature"] if len(image["shape_signature"]) else image["shape"]
    outputs = {it["name"]: columns_of([int(side) for side in it["shape"]], it["dtype"].__name__) for it in answers}
    shape = tuple(int(side) if side > 0 else None for side in fixed)
    return Opened(_in_pieces(run, shape), shape, outputs)


def _pixels(path, dtype):
    """The type in which a model takes pixels from 0 to 255."""
    told = getattr(dtype, "__name__", dtype)
    if told not in PIXELS:
        told = {"object": "strings, as of encoded images", "object_": "strings, as of encoded images"}.get(told, told)
        raise UserError(f"{path}: takes {told}; expected pixels from 0 to 255, as uint8 or floating-point numbers")
    return dtype


def _cast(images, dtype, scale=0.0, zero=0):
    """Pixels in the type that a model takes; of a quantised one, by the scale and zero point of its input."""
    if not np.issubdtype(dtype, np.integer):
        return np.asarray(images, dtype)
    if not scale:
        return np.clip(np.rint(images), 0, 255).astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(np.asarray(images, np.float32) / scale + zero), limits.min, limits.max).astype(dtype)


def _in_numbers(found, scale, zero):
    return (found.astype(np.float32) - zero) * np.float32(scale) if scale else found


def _in_pieces(run, shape):
    """What answers to any number of images, of a model that takes only so many at once."""
    if not shape or shape[0] is None:
        return run
    size = int(shape[0])

    def piece_by_piece(images):
        images = np.asarray(images)
        found = []
        for start in range(0, len(images), size):
            piece = images[start : start + size]
            padded = np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), axis=0)])
            found.append([answer[: len(piece)] for answer in run(padded)])
        return [np.concatenate(answers) for answers in zip(*found, strict=True)]

    return piece_by_piece


def _extra(module, extra):
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(f'{module} is not installed; expected it, by: pip install "kerastl[{extra}]"') from None


def _told(load):
    """What a runtime makes of a broken file, as one sentence."""

    def tell(path):
        try:
            return load(path)
        except UserError:
            raise
        except Exception as error:
            raise MissingWeights(f"{path}: cannot be loaded ({brief(error)}); expected a whole model") from None

    return tell


def is_saved_model(path):
    return (path / "saved_model.pb").is_file()


def _has(*suffixes):
    return lambda path: path.is_file() and path.suffix.lower() in suffixes


# Kind -> (is it one, what opens it).
RUNTIMES = {
    "keras": (_has(".keras"), _told(open_keras)),
    "h5": (_has(".h5", ".hdf5"), _told(open_keras)),
    "saved_model": (is_saved_model, _told(open_saved_model)),
    "onnx": (_has(".onnx"), _told(open_onnx)),
    "litert": (_has(".tflite"), _told(open_litert)),
}
SUFFIXES = (".keras", ".h5", ".onnx", ".tflite")


def kind_of(path):
    return next((kind for kind, (is_one, _) in RUNTIMES.items() if is_one(path)), None)
