"""The card beside the exports: what the model is, how good, on what, and how it is loaded, as Hugging Face has it."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kerastl.files import write_text
from kerastl.model.backbones import TABLE
from kerastl.run_folder import read_labels
from kerastl.text import markdown

CARD = "README.md"
HARDEST = 3  # classes that are named

# Name in a recipe -> title, identifier on the Hugging Face hub, license by its SPDX identifier; empty where there is none, or
# none is stated: the authors of CIFAR state none.
DATASETS = {
    "cifar10": ("CIFAR-10", "uoft-cs/cifar10", ""),
    "cifar100": ("CIFAR-100", "uoft-cs/cifar100", ""),
    "digits": ("Optical Recognition of Handwritten Digits", "", "cc-by-4.0"),
    "glyphs": ("glyphs drawn from fonts", "", ""),
}
SHIPPED = {"glyphs": "mit"}  # weights that come with kerastl
# Format -> three lines that load its file, with nothing of kerastl.
KERAS = """import keras
model = keras.models.load_model("{file}")
probabilities = model.predict(images)"""
LITERT = """from ai_edge_litert.interpreter import Interpreter
answer = Interpreter("{file}").get_signature_runner("serving_default")
probabilities = answer(image=images.astype("float32"))["probabilities"]"""
LOADING = {
    "keras": KERAS,
    "h5": KERAS,
    "saved_model": """import tensorflow as tf
answer = tf.saved_model.load("{file}").signatures["serving_default"]
probabilities = next(iter(answer(image=tf.cast(images, tf.float32)).values()))""",
    "onnx": """import onnxruntime
session = onnxruntime.InferenceSession("{file}")
probabilities = session.run(None, {{"image": images.astype("float32")}})[0]""",
    **dict.fromkeys(("litert", "litert-float16", "litert-int8"), LITERT),
}


def write_card(folder, model, metrics, kept):
    """Write the model card of exported files: README.md, with the metadata that Hugging Face reads at its beginning.

    Args:
        folder: of the exports, with their labels.json.
        model: the `keras.Model` that was exported.
        metrics: what metrics.json of the run holds.
        kept: what `export` gave.

    Source:
        Mitchell et al. 2019, Model Cards for Model Reporting; https://huggingface.co/docs/hub/model-cards.
    """
    recipe, test = metrics["recipe"], metrics.get("test")
    labels = read_labels(folder)
    title, dataset, _ = _dataset(recipe["data"]["name"])
    text = _template().render(
        name=recipe["name"],
        recipe=recipe,
        metrics=metrics,
        title=title,
        dataset=dataset,
        base=_base_model(recipe["model"]["backbone"]),
        licenses=licenses(recipe),
        license=_license(licenses(recipe)),
        judged=test and _as_the_files_answer(test, metrics, labels),
        hardest=sorted(test["per_class"], key=lambda it: it["recall"])[:HARDEST] if test else (),
        labels=labels,
        size=model.input_shape[1:3],
        loading=[LOADING[name].format(file=it["file"]) for name, it in kept.items()],
    )
    write_text(Path(folder) / CARD, text)


def _as_the_files_answer(test, metrics, labels):
    """The test score of the files: each image seen once, the temperature inside them where labels.json has none to apply."""
    fitted, found = metrics["temperature"], test["calibration"]
    inside = bool(fitted and fitted["value"]) and "temperature" not in labels
    sure = found["tempered"] if inside else found
    return {**test.get("without_flip", test), "loss": sure["nll"], "calibration": sure}


def licenses(recipe):
    """What the model was made of, and under which license: a dict from what it is to an identifier, or an empty text.

    Args:
        recipe: a recipe as a table.

    Example:
        >>> licenses({"data": {"name": "cifar10"}, "model": {"backbone": "ResNet50", "weights": "imagenet"}})
        {'data': '', 'weights': 'mit'}
    """
    data, weights, backbone = recipe["data"]["name"], recipe["model"]["weights"], recipe["model"]["backbone"]
    found = {"data": _dataset(data)[2]}
    if weights == "imagenet":
        found["weights"] = TABLE[backbone].license if backbone in TABLE else ""
    elif weights != "none":
        found["weights"] = SHIPPED.get(weights, "")
    return found


def _dataset(name):
    """Title, identifier and license; of one's own photos, the name of their folder."""
    return DATASETS.get(name, (Path(name.removeprefix("folder:").removeprefix("tfds:")).name, "", ""))


def _license(found):
    """What can be said of the model as a whole: nothing where one part is unknown."""
    every = sorted(set(found.values()))
    if not all(every):
        return {"license": "unknown"}
    return {"license": every[0]} if len(every) == 1 else {"license": "other", "license_name": "-and-".join(every)}


def _base_model(backbone):
    """The identifier of the backbone on the Hugging Face hub, where it came from there."""
    return backbone.removeprefix("hub:hf://") if backbone.startswith("hub:hf://") else ""


def _as_markdown(value):
    """What stands in the card, as text: only what the template says is markup stays it (`tojson`, `safe`)."""
    return value if isinstance(value, Markup) else markdown(str(value))


def _template():
    folder = FileSystemLoader(Path(__file__).parent)
    cards = Environment(
        loader=folder,
        autoescape=False,
        finalize=_as_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cards.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    return cards.get_template("card.md")
