"""A backbone with its weights, cut at its features: still a model of its own, before it is built into the graph."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import keras

from kerastl import strict
from kerastl.data.home import keras_home
from kerastl.errors import OFFLINE_REMEDY, KerastlWarning, MissingExtra, MissingWeights, RecipeError, brief
from kerastl.model import backbones
from kerastl.model.inline import inlined, without_classes
from kerastl.model.small_cnn import small_cnn
from kerastl.model.untrusted import checked_weights, load_untrusted
from kerastl.schema import Normalize

SHIPPED = {"glyphs": Path(__file__).parents[1] / "weights" / "glyphs.weights.h5"}
POOLED = ("avg", "max")
# Names of layers that `build_model` puts around a backbone.
AROUND = ("image", "resize", "preprocess", "features", "logits", "probabilities")
SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


@dataclass(frozen=True)
class Pretrained:
    """What the graph is built from.

    Args:
        model: from preprocessed images to features.
        preprocessing: caffe, tf, torch, none, or the `Normalize` that came with the weights.
    """

    model: keras.Model
    preprocessing: str | Normalize


def pretrained(spec):
    """Build a backbone, load its weights and cut it at its features.

    Args:
        spec: a `ModelSpec`.

    Returns:
        A `Pretrained`.

    Raises:
        RecipeError: unknown backbone, layer or constructor argument, or an image size it cannot take.
        MissingWeights: weights that are absent, cannot be downloaded or do not fit.
        UntrustedFile: a model or weights that a stranger could have meant ill; see SECURITY.md.
        MissingExtra: KerasHub is needed and not installed.
    """
    build = {"application": _application, "hub": _hub, "file": _file}[backbones.kind_of(spec.backbone)]
    return build(spec)


def _application(spec):
    row = backbones.TABLE[spec.backbone]
    top = spec.features == "predictions"
    size = row.top_size if top else spec.image_size
    imagenet = spec.weights == "imagenet"
    if spec.backbone == "SmallCNN":
        whole = _small_cnn(spec)
    else:
        constructor = getattr(keras.applications, spec.backbone)
        arguments = {"include_top": top, "input_shape": (size, size, 3), **spec.options}
        try:
            whole = constructor(weights=None, **arguments)
        except (TypeError, ValueError) as error:
            raise RecipeError(
                f"model: {spec.backbone} refuses image_size {spec.image_size}, options {spec.options}: {error}"
            ) from None
        if imagenet:
            whole = _download(constructor, arguments, spec)
    model = _cut(whole, spec)
    if not imagenet and spec.weights != "none":
        _load(model, whole, spec)
    return Pretrained(model, row.preprocessing)


def _small_cnn(spec):
    if spec.weights == "imagenet":
        raise MissingWeights("SmallCNN has no ImageNet weights; expected model.weights = none, or a file")
    if spec.image_size < 32:
        raise RecipeError(
            f"model.image_size: SmallCNN halves its input five times; found {spec.image_size}, expected 32 or more"
        )
    return small_cnn((spec.image_size, spec.image_size, 3))


def _download(constructor, arguments, spec):
    try:
        return constructor(weights="imagenet", **arguments)
    except Exception as error:
        raise MissingWeights(
            f"model.weights: the ImageNet weights of {spec.backbone} are not in {keras_home() / 'models'} and the download failed "
            f"({brief(error)}). Connect to the internet once, or name a weights file: --set model.weights=FILE. {OFFLINE_REMEDY}"
        ) from None


def _hub(spec):
    try:
        import keras_hub
    except ImportError:
        raise MissingExtra(
            f'{spec.backbone} comes from KerasHub, which is not installed: pip install "kerastl[hub]"'
        ) from None
    preset = spec.backbone.removeprefix("hub:")
    normalize = "none"
    if spec.weights == "none" and preset in backbones.PRESETS:
        name, arguments = backbones.PRESETS[preset]
        whole = getattr(keras_hub.models, name)(image_shape=(spec.image_size, spec.image_size, 3), **arguments)
    else:
        try:
            whole = keras_hub.models.Backbone.from_preset(preset, load_weights=spec.weights == "imagenet")
            if spec.preprocessing == "backbone":
                normalize = _normalize_of(keras_hub.layers.ImageConverter.from_preset(preset))
        except Exception as error:
            raise MissingWeights(
                f"{spec.backbone}: KerasHub cannot give this preset ({brief(error)}). Connect to the "
                f"internet once, or name a folder that holds the preset: hub:FOLDER. {OFFLINE_REMEDY}"
            ) from None
    if not isinstance(whole, keras.Model) or not hasattr(whole, "input"):
        raise RecipeError(f"{spec.backbone}: KerasHub gives a {type(whole).__name__}; expected an image backbone")
    model = _cut(whole, spec)
    if spec.weights not in ("imagenet", "none"):
        _load(model, whole, spec)
    return Pretrained(model, normalize)


def _normalize_of(converter):
    """KerasHub computes pixels * scale + offset; the same as mean and deviation of pixels in 0..1."""
    if converter.scale is None:
        return "none"
    scale = [converter.scale] * 3 if isinstance(converter.scale, (int, float)) else list(converter.scale)
    offset = converter.offset if converter.offset is not None else 0.0
    offset = [offset] * 3 if isinstance(offset, (int, float)) else list(offset)
    std = tuple(1 / (255 * s) for s in scale)
    return Normalize(mean=tuple(-o * d for o, d in zip(offset, std, strict=True)), std=std)


def _file(spec):
    path = Path(spec.backbone)
    if not path.is_file():
        found = "a folder, as of a SavedModel, whose layers cannot be trained" if path.is_dir() else "no such file"
        raise MissingWeights(f"model.backbone: {path}: {found}; expected a model saved by Keras as .keras or .h5")
    whole = load_untrusted(path, spec.image_size)
    wanted = (spec.image_size, spec.image_size, 3)
    shapes = [tuple(tensor.shape[1:]) for tensor in whole.inputs]
    if (
        len(shapes) != 1
        or len(shapes[0]) != 3
        or any(side not in (None, want) for side, want in zip(shapes[0], wanted, strict=True))
    ):
        raise RecipeError(
            f"model.backbone: {path} takes {shapes}; expected one input of shape {wanted}, as model.image_size says"
        )
    if spec.weights not in ("imagenet", "none"):
        raise RecipeError(
            f"model.weights: {path} brings its own weights; found {spec.weights!r}, expected the key left out"
        )
    whole = _flat(whole, spec)
    if spec.features in POOLED:
        whole, ends_at, what = without_classes(whole)
        if what == "probabilities" and not ends_at:
            raise RecipeError(
                f"model.backbone: {path} ends in {what} of classes and has no features before them; "
                'expected some. To take what it ends in: model.features = "predictions"'
            )
        if ends_at:
            _warn(
                f"{path} ends in {what} of classes, which are cut off: the features are those of {ends_at!r}. "
                'To keep them: model.features = "predictions"'
            )
    if isinstance(spec.preprocessing, Normalize) and (scaling := _scales_itself(whole)):
        _warn(
            f"{path} scales its pixels itself, by its layer {scaling!r}, and model.preprocessing scales them before that: twice. "
            'To leave it to the model: model.preprocessing = "backbone"'
        )
    return Pretrained(_cut(whole, spec), "none")


def _flat(whole, spec):
    """A model of one's own as one flat graph, with one end."""
    if len(whole.outputs) > 1 and spec.features in (*POOLED, "predictions"):
        raise RecipeError(
            f"model.backbone: {spec.backbone} has {len(whole.outputs)} outputs; expected one, or a layer of it as model.features"
        )
    heads = [layer.name for layer in whole.layers if layer.name.startswith("head_")]
    try:
        return inlined(whole, (*AROUND, *heads))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise RecipeError(
            f"model.backbone: {spec.backbone}: its graph of layers cannot be followed ({brief(error)}); expected a functional or "
            "sequential model"
        ) from None


def _scales_itself(model):
    """The name of the layer that scales the pixels, where one does before the first layer with a kernel."""
    for layer in model.layers:
        if isinstance(layer, SCALING):
            return layer.name
        if hasattr(layer, "kernel"):
            return None
    return None


def _warn(what):
    warnings.warn(f"model.backbone: {what}", KerastlWarning, stacklevel=3)


def _cut(whole, spec):
    """The part of a backbone that ends at the features."""
    if spec.features in (*POOLED, "predictions"):
        return whole
    layers = [layer.name for layer in whole.layers]
    if spec.features not in layers:
        raise RecipeError(
            f"model.features: {spec.backbone} has no layer {spec.features!r}; "
            f"{strict.suggest(spec.features, [*POOLED, 'predictions'])}, or one of its {len(layers)} layers, as {', '.join(layers[-6:])}"
        )
    return keras.Model(whole.input, whole.get_layer(spec.features).output)


def _load(model, whole, spec):
    if "://" in spec.weights:
        raise MissingWeights(f"model.weights: {spec.weights} is an address; download it, and name the file")
    path = SHIPPED.get(spec.weights, Path(spec.weights))
    if not path.is_file():
        raise MissingWeights(
            f"model.weights: {path}: no such file; expected imagenet, none, {', '.join(SHIPPED)} or a weights file"
        )
    reasons = []
    with checked_weights(path) as copy:
        for part in (model, whole):  # a file may hold the cut backbone, or all of it
            try:
                part.load_weights(copy)
                return
            except Exception as error:
                reasons.append(brief(error))
    raise MissingWeights(
        f"model.weights: {path} does not fit {spec.backbone} with features {spec.features!r} and options {spec.options} ({reasons[0]}); "
        "expected the weights of the same architecture, saved by Keras"
    )
