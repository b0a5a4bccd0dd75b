"""Files that a stranger could send, one row each: how it is built, and what kerastl says instead of opening it.

Built by hand, of the same honest model each time, so that a row differs from a file that loads by its one fault alone.
"""

import io
import json
import stat
import zipfile
from pathlib import Path

import h5py
import numpy as np


def open_as_kerastl_does(path):
    """Take a file the way its name says: a recipe, weights or a model."""
    from kerastl.model.untrusted import check_weights, load_untrusted
    from kerastl.recipe import recipe

    if path.suffix == ".toml":
        return recipe(path)
    if ".weights" not in path.name:
        return load_untrusted(path)
    return check_weights(path)


def layer(kind, config=(), module="keras.layers", name="suspect", source="image", **more):
    """A layer's config, called on the output of another layer."""
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [source, 0, 0]},
    }
    nodes = [{"args": [tensor], "kwargs": {}}]
    config = {"name": name, **dict(config)} if not isinstance(config, str) else config
    return {"module": module, "class_name": kind, "config": config, "name": name, "inbound_nodes": nodes, **more}


def model(*layers, shape=(4,)):
    """The config of a model: an input, the layers given, a Dense of 2 units."""
    image = {"batch_shape": [None, *shape], "dtype": "float32", "name": "image"}
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": image, "name": "image", "inbound_nodes": []},
        *layers,
        layer("Dense", {"units": 2}, name="dense", source=layers[-1]["name"] if layers else "image"),
    ]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["dense", 0, 0]]}
    config = {"name": "sent", "trainable": True, "layers": layers, **ends}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def weights(spoil=lambda file: None):
    """The bytes of model.weights.h5 for `model()`; `spoil` adds to it."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 2), "float32")
        file["layers/dense/vars/1"] = np.ones(2, "float32")
        spoil(file)
    return stream.getvalue()


def keras_file(config=None, spoil=lambda file: None, more=(), without=(), facts="{}"):
    """A function that writes x.keras into a folder: `more` are further members, `without` those to leave out, `facts` its metadata."""

    def build(folder):
        text = config if isinstance(config, str) else json.dumps(config or model())
        members = [("metadata.json", facts), ("config.json", text), ("model.weights.h5", weights(spoil)), *more]
        path = Path(folder) / "x.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members:
                if name not in without:
                    archive.writestr(name, content)
        return path

    return build


def with_layer(*arguments, **more):
    return keras_file(model(layer(*arguments, **more)))


def with_activation(value):
    return with_layer("Activation", {"activation": value})


def h5_file(config=None, name="x.h5", spoil=lambda file: None):
    """A function that writes a whole-model .h5, or weights alone where there is no config."""

    def build(folder):
        path = Path(folder) / name
        path.write_bytes(weights(spoil))
        if config:
            with h5py.File(path, "a") as file:
                file.attrs["model_config"] = json.dumps(config)
        return path

    return build


def weights_file(spoil):
    return h5_file(name="x.weights.h5", spoil=spoil)


def plain_file(name, content):
    """A function that writes bytes or text."""

    def build(folder):
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return build


def truncated(folder):
    path = weights_file(lambda file: None)(folder)
    path.write_bytes(path.read_bytes()[:-800])
    return path


def folder_named_as_a_recipe(folder):
    (Path(folder) / "x.toml").mkdir()
    return Path(folder) / "x.toml"


def zip_bomb(folder):
    path = keras_file()(folder)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(20_000_000))
    return path


def link(target):
    return lambda file: file.__setitem__("layers/dense/vars/2", target)


def virtual(file):
    layout = h5py.VirtualLayout((1000,), "uint8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1000,))
    file.create_virtual_dataset("stolen", layout)


def dataset(*arguments, **more):
    return lambda file: file.create_dataset("stolen", *arguments, **more)


def legacy(config):
    """The same config as an older .h5 has it: classes without their modules."""
    if isinstance(config, dict):
        return {key: legacy(value) for key, value in config.items() if key != "module"}
    return [legacy(value) for value in config] if isinstance(config, list) else config


def called(nodes, **config):
    """A model with a layer that is called on what `nodes` says."""
    return keras_file(model({**layer("UpSampling1D", config), "inbound_nodes": nodes}))


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


SYMLINK = zipfile.ZipInfo("assets/link")
SYMLINK.external_attr = (stat.S_IFLNK | 0o777) << 16
BYTECODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
SHELL = {"module": "subprocess", "class_name": "Popen", "config": {"args": "touch /tmp/owned"}}
SPEC = {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": [[1], "float32"]}
HUGE_DTYPE = {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "S1000000000"}}
RECIPE = 'description = "mine"\ndata = { name = "digits" }\nmodel = { backbone = "SmallCNN" }\nstrategy = "full"\n'

HOSTILE = {
    # no zip archive, or one that Keras would not have written
    "a pickle named .keras": (plain_file("x.keras", b"\x80\x04cos\nsystem\n"), "begins as a Python pickle"),
    "a Git LFS pointer": (plain_file("x.keras", "version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "an empty file": (plain_file("x.keras", b""), r"cannot be read as a zip archive, which a \.keras file is"),
    "a pickle": (plain_file("x.pkl", b"\x80\x04cos\nsystem\n"), r"found the suffix '\.pkl'; expected \.keras, \.h5"),
    "a member above the folder": (keras_file(more=[("../../.bashrc", "x")]), r"'\.\./\.\./\.bashrc' reaches outside"),
    "a member at the root": (keras_file(more=[("/etc/cron.d/x", "x")]), "'/etc/cron.d/x' reaches outside"),
    "a member above the folder, Windows": (keras_file(more=[("assets\\..\\x", "x")]), "reaches outside the folder"),
    "a symbolic link as member": (keras_file(more=[(SYMLINK, "/etc/passwd")]), "'assets/link' is a symbolic link"),
    "a member of another kind": (keras_file(more=[("sitecustomize.py", "x")]), r"sitecustomize\.py' is not among what"),
    "weights as .npz": (keras_file(more=[("model.weights.npz", "x")]), r"model\.weights\.npz' is not among what"),
    "a member twice": (keras_file(more=[("config.json", "{}")]), r"'config\.json' is there twice"),
    "no weights": (keras_file(without=["model.weights.h5"]), r"found no model\.weights\.h5"),
    "a zip bomb": (zip_bomb, r"bytes that unpack to 20,0\d\d,\d\d\d; expected at most 10 times"),
    # what a config may not hold
    "a config of 17 MB": (keras_file(json.dumps(model()) + " " * 17_000_000), r"a config of 17,0.*at most 16,777,216"),
    "a config that is no JSON": (keras_file("Functional()"), "cannot be read as the JSON of a model's config"),
    "a config nested 100,000 deep": (keras_file("[" * 100_000), "cannot be read as the JSON.*RecursionError"),
    "a config nested 200 deep": (
        with_activation(json.loads("[" * 200 + "]" * 200)),
        r"nested 2\d\d deep; expected at most",
    ),
    "Lambda bytecode": (
        with_layer("Lambda", {"function": BYTECODE}),
        "'suspect'.*found Lambda, which runs Python code",
    ),
    "bytecode as an activation": (with_activation(BYTECODE), "found __lambda__, which is Python code"),
    "os.system (CVE-2025-1550)": (
        with_layer("function", "system", module="os"),
        "found function, which names a function",
    ),
    "get_file (CVE-2025-8747)": (with_activation(function("keras.utils", "get_file")), "found function"),
    "safe mode switched off (CVE-2025-9906)": (
        with_layer("function", "enable_unsafe_deserialization", module="keras.config"),
        "found function, which names a function to be called",
    ),
    "TFSMLayer (CVE-2026-1462)": (
        with_layer("TFSMLayer", {"filepath": "/tmp/evil"}),
        "TFSMLayer, which loads and runs",
    ),
    "TorchModuleWrapper": (with_layer("TorchModuleWrapper", {"module": "gASV"}), "TorchModuleWrapper, which unpickles"),
    "JaxLayer": (with_layer("JaxLayer", {"call_fn": BYTECODE}), "JaxLayer, which runs functions"),
    "FlaxLayer": (with_layer("FlaxLayer", {"module": BYTECODE}), "FlaxLayer, which runs functions"),
    "a class of another package": (with_activation(SHELL), r"found subprocess\.Popen, which is no layer"),
    "a function of Keras as a class": (
        with_layer("load_model", module="keras.models"),
        r"found keras\.models\.load_model",
    ),
    "a class from inside Keras": (
        with_layer("H5IOStore", module="keras.src.saving.saving_lib"),
        r"saving_lib\.H5IOStore, which is no layer",
    ),
    "a class of KerasHub": (
        with_layer("ResNetBackbone", module="keras_hub.models"),
        r"found keras_hub\.models\.ResNet",
    ),
    "a registered class": (
        with_layer("Dense", {"units": 2}, registered_name="evil>Layer"),
        "registered name 'evil>Layer'",
    ),
    "a type of TensorFlow": (with_activation(SPEC), "found __typespec__, which makes one of TensorFlow's inner types"),
    "a vocabulary file (CVE-2025-12058)": (
        with_layer("StringLookup", {"vocabulary": "/etc/passwd"}),
        "'/etc/passwd', a file",
    ),
    "a vocabulary from the internet": (
        with_layer("TextVectorization", {"vocabulary": "http://x.org/"}),
        "'http://x.org/', a",
    ),
    # memory that the file does not bring
    "a layer of 10^12 units": (with_layer("Dense", {"units": 10**12}), "found units = 1,000,000,000,000; expected at"),
    "an input of 100,000 x 100,000": (keras_file(model(shape=(100_000, 100_000, 3))), "found batch_shape = .*elements"),
    "16 terabytes of variables": (
        keras_file(model(layer("Dense", {"units": 2**21}, name="a"), layer("Dense", {"units": 2**21}, source="a"))),
        r"its layers ask for 4,398,0.* variables, the file stores 10 numbers",
    ),
    "an element of a gigabyte": (with_activation(HUGE_DTYPE), "found an array of 'S1000000000'; expected one of"),
    "a layer called on a constant": (
        called([{"args": [[[[1.0]]]], "kwargs": {}}], size=10**8),
        "found a call without another layer's output",
    ),
    "a layer called on nothing": (called([[]]), "found a call without another layer's output"),
    # HDF5
    "a web page named .h5": (plain_file("x.weights.h5", "<html>404</html>"), "cannot be read as HDF5.*a web page"),
    "half a download": (truncated, r"x\.weights\.h5: cannot be read as HDF5.*truncated"),
    "weights alone, as a model": (h5_file(), "found weights without a model"),
    "Lambda bytecode in .h5 (CVE-2025-9905)": (
        h5_file(legacy(model(layer("Lambda", {"function": ["4wEAAAA=", None, None]})))),
        "'suspect'.*found Lambda, which runs Python code",
    ),
    "a function of Keras in .h5": (
        h5_file(legacy(model(layer("deserialize")))),
        "found deserialize, which is no layer",
    ),
    "a tensor of TensorFlow in .h5": (
        h5_file({**legacy(model()), "compile_config": {"class_name": "CompositeTensor", "spec": {}, "tensors": []}}),
        r"at model\.compile_config\): found CompositeTensor, which makes",
    ),
    "terabytes of variables in .h5": (
        h5_file(
            legacy(model(layer("Dense", {"units": 2**21}, name="a"), layer("Dense", {"units": 2**21}, source="a")))
        ),
        r"its layers ask for 4,398,0.* variables",
    ),
    "an external link": (weights_file(link(h5py.ExternalLink("/etc/passwd", "/x"))), "vars/2 is an HDF5 ExternalLink"),
    "a soft link": (weights_file(link(h5py.SoftLink("/elsewhere"))), "vars/2 is an HDF5 SoftLink"),
    "an external link inside .keras": (
        keras_file(spoil=link(h5py.ExternalLink("/etc/passwd", "/x"))),
        r"x\.keras: model\.weights\.h5: /layers/dense/vars/2 is an HDF5 ExternalLink",
    ),
    "a virtual dataset": (weights_file(virtual), "/stolen is virtual: made of other files"),
    "numbers kept in another file (CVE-2026-1669)": (
        weights_file(dataset((100,), "uint8", external=[("/etc/passwd", 0, 100)])),
        "/stolen keeps its numbers in another file",
    ),
    "a type instead of numbers": (weights_file(link(np.dtype("int32"))), "vars/2 is no array"),
    "text instead of numbers": (weights_file(dataset(data=["a", "b"])), "/stolen holds no plain numbers"),
    "records instead of numbers": (weights_file(dataset((2,), "i4,f4")), "/stolen holds no plain numbers"),
    "a shape of terabytes (CVE-2026-0897)": (
        weights_file(dataset((10**6, 10**6), "float32", chunks=(10, 10))),
        r"/stolen: with its shape \(1000000, 1000000\) the arrays ask for 4,000,000,000,0",
    ),
    "compressed zeros": (
        weights_file(dataset(data=np.zeros(5_000_000, "uint8"), compression="gzip")),
        "the arrays ask for 5,000,000 bytes",
    ),
    # recipes
    "a recipe of 2 MB": (plain_file("x.toml", RECIPE + "#" * 2_000_000), "found more than 1,000,000 bytes"),
    "a recipe in Latin-1": (plain_file("x.toml", b'description = "\xe9"'), "not UTF-8"),
    "a folder as recipe": (folder_named_as_a_recipe, r"x\.toml: is a folder; expected a recipe"),
    "a recipe nested 100,000 deep": (plain_file("x.toml", "x = " + "[" * 100_000), "nested too deeply"),
    "a recipe of 50,000 tables in a line": (
        plain_file("x.toml", "a." * 50_000 + "a = 1"),
        "found 50000 dots in line 1",
    ),
    "a recipe of tables nested 50 deep": (
        plain_file("x.toml", RECIPE + "a." * 50 + "a = 1"),
        "nested 51 deep; expected",
    ),
    "a number of 10,000 digits": (plain_file("x.toml", "seed = " + "9" * 10_000), "not TOML: Exceeds the limit"),
    "a recipe that writes elsewhere": (
        plain_file("x.toml", 'name = "../../x"\n' + RECIPE),
        r"name: found '\.\./\.\./x'",
    ),
    "a baseline that writes elsewhere": (
        plain_file("x.toml", RECIPE + 'baseline = { name = "/tmp/x" }\n'),
        "name: found '/tmp/x'; expected letters",
    ),
}
