"""Files that ask for far more memory or time than they have bytes, one row each; as `HOSTILE`, whose builders they use.

`test_untrusted.py` sees to it that each is refused in moments and in little memory.
"""

import json
import re
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
from hostile import h5_file, keras_file, layer, legacy, model, weights, weights_file, with_layer


def archive(members, before=b"", behind=b"", locator=b""):
    """A function that writes x.keras by hand.

    Args:
        members: name -> content, and what is changed: `method`, `data` (what stands in the file), `size` and `crc` as declared,
            `flags`, `local_name`, `local_method`, `place` (of the local header).
        before, behind: bytes around the archive.
        locator: what stands between the directory and its end.
    """

    def build(folder):
        body, central, places = bytearray(before), b"", {}
        for name, (content, change) in members.items():
            method, flags = change.get("method", 0), change.get("flags", 0)
            data, size = change.get("data", content), change.get("size", len(content))
            crc, encoded = change.get("crc", zlib.crc32(content)), name.encode()
            local_name = change.get("local_name", name).encode()
            places[name] = len(body) if "place" not in change else places[change["place"]]
            common = (0, 33, crc, len(data), size)
            if "place" not in change:
                local = (b"PK\3\4", 20, flags, change.get("local_method", method), *common, len(local_name), 0)
                body += struct.pack("<4s5H3L2H", *local) + local_name + data
            listed = (b"PK\1\2", 20, 20, flags, method, *common, len(encoded), 0, 0, 0, 0, 0, places[name])
            central += struct.pack("<4s6H3L5H2L", *listed) + encoded
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(central), len(body), 0)
        path = Path(folder) / "x.keras"
        path.write_bytes(bytes(body) + central + locator + end + behind)
        return path

    return build


def with_config(**change):
    """An archive whose config.json is not what its headers say."""
    return archive(parts(config=change))


def parts(config=(), **more):
    members = {"metadata.json": (b"{}", {}), "config.json": (CONFIG, dict(config)), "model.weights.h5": (weights(), {})}
    return members | more


def deflated(content, more=0):
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(content) + machine.compress(b" " * more) + machine.flush()


def compressed(method):
    """A config in another compression, by zipfile itself."""

    def build(folder):
        path = Path(folder) / "x.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", CONFIG + b" " * 2_000_000, method)
            archive.writestr("model.weights.h5", weights())
        return path

    return build


def many_members(folder):
    path = keras_file()(folder)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(20_000):
            archive.writestr(f"assets/{number}", b"")
    return path


def bias(create):
    """What replaces the bias of the honest model: `create(group)` makes vars/1."""

    def spoil(file):
        del file["layers/dense/vars/1"]
        create(file["layers/dense/vars"])

    return spoil


def chunked(side, filters, data=None):
    """Two numbers in a chunk of `side`, which may hold other bytes than they should."""

    def create(group):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((side,))
        for add in filters:
            add(plist)
        space = h5py.h5s.create_simple((2,), (h5py.h5s.UNLIMITED,))
        made = h5py.h5d.create(group.id, b"1", h5py.h5t.IEEE_F32LE, space, plist)
        if data is not None:
            made.write_direct_chunk((0,), data, 0)

    return bias(create)


def gzip(plist):
    plist.set_deflate(9)


def lzf(plist):
    plist.set_filter(h5py.h5z.FILTER_LZF)


def listing(names):
    """A whole-model .h5 whose dense layer has a list of these names."""

    def spoil(file):
        file["model_weights/dense/k"] = np.ones(100_000, "float32")
        file["model_weights"].attrs["layer_names"] = np.array([b"dense"])
        file["model_weights/dense"].attrs["weight_names"] = names

    return h5_file(legacy(model()), spoil=spoil)


def same_text(folder):
    """A list of 1,000 names, all of them the same million letters: each name is a pointer, and they are all turned there."""
    path = listing(np.array(["n" * 1237] * 1_000, dtype=h5py.string_dtype()))(folder)
    with h5py.File(path, "a") as file:
        file.attrs["long"] = "x" * 999_999
    # A pointer: 4 bytes of length, 8 of the place in the file, 4 of the number there.
    pointer = [re.escape(struct.pack("<I", length)) + rb"(?!\0{4}).{4}\0{4}.{4}" for length in (999_999, 1237)]
    content = path.read_bytes()
    long = re.search(pointer[0], content, re.DOTALL)[0]
    content, found = re.subn(pointer[1], lambda _: long, content, flags=re.DOTALL)
    assert found == 1_000
    path.write_bytes(content)
    return path


def attribute(value):
    return weights_file(lambda file: file["layers/dense"].attrs.__setitem__("x", value))


def attributes(file):
    for number in range(1_500):
        file["layers/dense/vars"].attrs[str(number)] = 1


def cycle(file):
    file["layers/dense/again"] = file["layers"]


def many_names(file):
    for number in range(3_000):
        file[f"layers/dense{number}/vars/0"] = file["layers/dense/vars/0"]


def committed(file):
    file["type"] = np.dtype("int32")
    file.create_dataset("typed", (2,), file["type"])


def with_user_block(folder):
    path = weights_file(lambda file: None)(folder)
    path.write_bytes(bytes(512) + path.read_bytes())
    return path


def sparse(folder):
    path = weights_file(lambda file: None)(folder)
    with path.open("ab") as file:
        file.truncate(10**9)
    return path


def image_model(*layers, shape=(64, 64, 3)):
    """A model of images, each layer called on the one before."""
    sources = ["image", *(it["name"] for it in layers)]
    for it, source in zip(layers, sources, strict=False):
        if isinstance(it["inbound_nodes"], list) and it["inbound_nodes"]:
            it["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = source
    return model(*layers, shape=shape)


def one(kind, shape=(64, 64, 3), module="keras.layers", **config):
    return keras_file(image_model(layer(kind, config, module), shape=shape))


def op(module, kind, takes=(64, 64, 3), **config):
    return keras_file(image_model(layer(kind, config, f"keras.src.ops.{module}"), shape=takes))


def twice(kind, shape, **config):
    """A layer called on the image, and on the image again."""
    it = layer(kind, config)
    it["inbound_nodes"][0]["args"] *= 2
    return keras_file(model(it, shape=shape))


def on_pair(kind, shape, **config):
    it = layer(kind, config)
    it["inbound_nodes"][0]["args"] = [it["inbound_nodes"][0]["args"] * 2]
    return keras_file(model(it, shape=shape))


def row(*kinds, shape=(64, 64, 3)):
    """Layers one after another: (class, config) or (class, config, module)."""
    layers = [layer(kind, dict(config), *module, name=f"l{n}") for n, (kind, config, *module) in enumerate(kinds)]
    return keras_file(image_model(*layers, shape=shape))


def kept(folder):
    """Forty copies of the image, each of 100 MB, all needed at the end."""
    copies = [layer("UpSampling2D", {"size": [50, 50]}, name=f"u{n}") for n in range(40)]
    end = layer("Add", {}, name="end")
    tensor = end["inbound_nodes"][0]["args"][0]
    ask = [json.loads(json.dumps(tensor)) for _ in copies]
    for it, copy in zip(ask, copies, strict=True):
        it["config"]["keras_history"][0] = copy["name"]
    end["inbound_nodes"][0]["args"] = [ask]
    return keras_file(model(*copies, end, shape=(64, 64, 3)))(folder)


def nested(inside, outside, shape):
    """A model in a model: `inside` takes images of any size."""
    inner = image_model(*(layer(kind, config, name=f"i{n}") for n, (kind, config) in enumerate(inside)), shape=shape)
    inner["config"]["layers"][-1]["config"]["units"] = 1
    inner |= {"name": "inner", "config": {**inner["config"], "name": "inner"}}
    inner["inbound_nodes"] = json.loads(json.dumps(layer("Dense")["inbound_nodes"]))
    return keras_file(image_model(*outside, inner))


def doubled(depth):
    """A model that calls a model twice that calls a model twice, and so on."""
    inner = model()
    for level in range(depth):
        inner = {**inner, "name": f"m{level}", "config": {**inner["config"], "name": f"m{level}"}}
        node = layer("Dense")["inbound_nodes"][0]
        outer = model({**inner, "inbound_nodes": [node, node]})
        inner = outer
    return keras_file(inner)


def backwards(count):
    layers = [layer("ReLU", name=f"r{n}", source=f"r{n + 1}" if n < count - 1 else "image") for n in range(count)]
    config = model(*layers)
    config["config"]["layers"][-1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "r0"
    return keras_file(config)


def sequential(count, inside=0):
    """A Sequential of some layers; or of one in another, over and over, each with that many layers behind it."""

    def layers(kind, inner=()):
        return [
            *inner,
            *({"module": "keras.layers", "class_name": "ReLU", "config": {"name": f"{kind}{n}"}} for n in range(count)),
        ]

    image = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4], "name": "image"},
    }
    found = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [image, *layers("r")]}}
    for level in range(inside):
        inner = layers(f"r{level}", [image, found])
        found = {"module": "keras", "class_name": "Sequential", "config": {"name": f"s{level}", "layers": inner}}
    return keras_file(found)


def loose(folder):
    """A layer that nothing is connected to, but which says what it is built for."""
    config = model(
        {**layer("Dense", {"units": 2**13}, build_config={"input_shape": [None, 2**20]}), "inbound_nodes": []}
    )
    config["config"]["layers"][-1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "image"
    return keras_file(config)(folder)


def config_of(value):
    """A whole-model .h5 whose model_config is something else."""
    return h5_file(spoil=lambda file: file.attrs.__setitem__("model_config", value))


AUC = {"num_thresholds": 10**8}
CONFIG = json.dumps(model()).encode()
LONG = [9] * 100_000
LISTS = json.dumps(model())[:-1] + ', "more": [' + "[]," * 600_000 + "[]]}"
WORDS = {"vocabulary": ["a", "b"], "mask_token": None}
ESCAPE = "\x1b[2J"
BIG = r"of one image: with what else is needed then, \d[\d,]+ bytes; expected at most 2,147,483,648"

BOMBS = {
    # zip: what the headers say is not what is there
    "bzip2 in the archive": (compressed(zipfile.ZIP_BZIP2), r"'config\.json' is compressed by bzip2; expected members"),
    "LZMA in the archive": (compressed(zipfile.ZIP_LZMA), r"'config\.json' is compressed by lzma; expected members"),
    "a method nobody knows": (with_config(method=42), r"'config\.json' is compressed by 42; expected members"),
    "bzip2 that lies about its size": (with_config(method=12, data=b"BZh9" + bytes(50)), "compressed by bzip2"),
    "deflate that lies about its size": (
        with_config(method=8, data=deflated(CONFIG, 100_000_000)),
        r"'config\.json' has more bytes than declared",
    ),
    "deflate that ends too early": (with_config(method=8, data=deflated(CONFIG[:-9])), "has fewer bytes than declared"),
    "deflate with bytes behind it": (
        with_config(method=8, data=deflated(CONFIG) + b"more"),
        "a deflated member does not end where its bytes do",
    ),
    "deflate cut off": (with_config(method=8, data=deflated(CONFIG)[:-9]), "cannot be read as a zip archive"),
    "a stored member that lies about its size": (with_config(size=7), "has more bytes or fewer than declared"),
    "another checksum": (with_config(crc=7), r"'config\.json' is damaged: its checksum is another"),
    "another name before the bytes": (with_config(local_name="config.jso_"), "is another one in the directory than"),
    "another method before the bytes": (with_config(local_method=12), "is another one in the directory than where"),
    "an encrypted member": (with_config(flags=1), r"'config\.json' is encrypted; expected none"),
    "two members of the same bytes": (
        archive(parts(**{"assets/x": (weights(), {"place": "model.weights.h5", "local_name": "assets/x"})})),
        "'assets/x' is another one in the directory than where it stands",
    ),
    "an archive behind another file": (archive(parts(), before=b"#!/bin/sh\n"), "have other bytes before or between"),
    "bytes behind the archive": (archive(parts(), behind=b"more"), "it does not end as a zip archive does"),
    "zip64 where nothing is large": (
        archive(parts(), locator=bytes(56) + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)),
        r"for huge archives \(zip64\)|directory is of the kind",
    ),
    "20,000 members": (many_members, r"its directory has 1,[\d,]+ bytes; expected at most 1,048,576"),
    "metadata of 17 MB": (
        archive(parts() | {"metadata.json": (b" " * 17_000_000, {})}),
        r"a config of 17,000,000 bytes; expected at most",
    ),
    # HDF5: what is unpacked is not what is asked for
    "a chunk of 2 GB": (
        keras_file(spoil=chunked(5 * 10**8, [gzip], zlib.compress(bytes(10**6)))),
        r"vars/1: 8 bytes of numbers are stored in chunks of 2,000,000,000",
    ),
    "deflated twice": (weights_file(chunked(2, [gzip, gzip])), r"packed by the HDF5 filters \[1, 1\]; expected gzip"),
    "a chunk that inflates without end": (
        weights_file(chunked(1000, [gzip], zlib.compress(bytes(100_000_000)))),
        "vars/1 inflates to more than its 4,000 bytes a chunk",
    ),
    "a filter of somebody else's": (weights_file(chunked(2, [lzf])), r"packed by the HDF5 filters \[32000\]"),
    "one array under 3,000 names": (weights_file(many_names), "is a second name of something; expected each under one"),
    "groups in a circle": (weights_file(cycle), "is a second name of something"),
    "one array listed 3,000 times": (listing(np.array([b"k"] * 3_000)), "names 'k' twice; expected each array once"),
    "one array listed as k, ./k, ././k": (listing(np.array([b"k", b"./k", b"././k"])), r"names an array '\./k'"),
    "one array listed as k and k with a zero": (listing(np.array([b"k\0a", b"k\0b"])), r"names an array 'k\\x00"),
    "a text taken for a list of its letters": (listing("k" * 3_000), "'weight_names' is no list of names"),
    "a list that is no list": (listing(np.ones((2, 2))), "'weight_names' is no list of names"),
    "1,000 names that are the same megabyte": (same_text, "lists of names cannot be read within 268,435,456 bytes"),
    "texts of any length": (attribute(["a", "b"]), "'x' is a list of texts; expected one text"),
    "an attribute of records": (attribute(np.zeros(2, "i4,f4")), "'x' is no text and no number"),
    "an attribute that points somewhere": (
        weights_file(lambda file: file.attrs.__setitem__("x", file["layers"].ref)),
        "'x' is no text and no number",
    ),
    "1,500 attributes": (weights_file(attributes), "has 1,500 attributes; expected at most 1,000"),
    "70 groups in groups": (weights_file(lambda file: file.create_group("a/" * 70)), "no deeper than 64"),
    "a type that stands elsewhere": (weights_file(committed), "has a type that stands elsewhere|is no array"),
    "HDF5 behind other bytes": (with_user_block, "file signature not found at its beginning"),
    "a file full of holes": (sparse, r"1,000,000,000 bytes of which [\d,]+ are on the disk"),
    "a name with an escape sequence": (
        weights_file(lambda file: file.__setitem__(f"layers/{ESCAPE}", h5py.SoftLink("/"))),
        r"/layers/\\x1b\[2J is an HDF5 SoftLink",
    ),
    "a model_config that is an array": (config_of(np.arange(5)), r"its model_config is an array of shape \(5,\)"),
    "a model_config that is a number": (config_of(7), "its model_config is int64; expected text"),
    "a model_config without a letter": (config_of(""), "cannot be read as the JSON of a model's config"),
    "a model_config that is a list": (config_of("[]"), "its config is list in JSON; expected a table"),
    "a model_config that is not UTF-8": (config_of(np.bytes_(b"\xff\xfe")), "cannot be read as HDF5.*UnicodeDecode"),
    # JSON: small text, large in memory
    "600,000 lists": (keras_file(LISTS), r"a config of [\d,]+ tables, lists and values; expected at most 500,000"),
    "600,000 lists in .h5": (h5_file(json.loads(LISTS)), r"tables, lists and values; expected at most 500,000"),
    "a shape of 100,000 numbers": (with_layer("Reshape", {"target_shape": LONG}), "found target_shape of 100,000 numb"),
    "a build of 100,000 numbers": (
        keras_file(model(layer("Dense", {"units": 2}, build_config={"input_shape": LONG}))),
        "found input_shape of 100,000 numbers; expected at most 32",
    ),
    "a name with an escape sequence in the config": (
        with_layer("Lambda", name=f"{ESCAPE}evil"),
        r"x1b\[2Jevil' .*found Lambda",
    ),
    "a model that calls a model twice, 18 times": (doubled(18), r"layers are called [\d,]{7,} times; expected at most"),
    "20,000 calls of a layer": (
        keras_file(model({**layer("ReLU"), "inbound_nodes": layer("ReLU")["inbound_nodes"] * 20_000})),
        r"layers are called 20,00\d times; expected at most 20,000",
    ),
    "3,000 layers in reverse": (backwards(3_000), "of its layers stand before the one they are called on"),
    "a Sequential of 400 layers": (sequential(400), r"layers are called 80,\d+ times; expected at most 20,000"),
    "Sequentials in Sequentials": (sequential(3, inside=18), r"layers are called [\d,]{9,} times; expected at most"),
    "a layer that is connected to nothing": (
        loose,
        r"its layers ask for 8,589,[\d,]+ variables, the file stores 10 numbers",
    ),
    "a metric of 10^8 thresholds": (
        with_layer("Activation", {"activation": {"module": "keras.metrics", "class_name": "AUC", "config": AUC}}),
        r"found keras\.metrics\.AUC, which is no layer",
    ),
    "an axis of 100,000 numbers": (
        with_layer("LayerNormalization", {"axis": LONG}),
        "found axis of 100,000 numbers; ex",
    ),
    "a transposition of 100,000 axes": (op("numpy", "Transpose", axes=LONG), "found axes of 100,000 numbers"),
    "a name of a million letters": (
        with_layer("Dense", {"name": "x" * 10**6, "units": 2}),
        "found name of 1,000,000 let",
    ),
    "an equation of a million letters": (
        with_layer("EinsumDense", {"equation": "a" * 10**6}),
        "found equation of 1,00",
    ),
    # layers that make tables as soon as they are made
    **{
        f"{kind} with tables": (
            with_layer(kind, config),
            f"found {kind}, which {why}; expected layers that take images",
        )
        for kind, config, why in (
            ("StringLookup", {**WORDS, "num_oov_indices": 10**6, "oov_token": "x" * 500}, "keeps a table of words"),
            ("IntegerLookup", {"num_oov_indices": 10**8, "vocabulary": [1]}, "keeps a table of words"),
            ("TextVectorization", {"max_tokens": 10**8}, "keeps a table of words"),
            ("Hashing", {"num_bins": 10**8}, "hashes text"),
            ("HashedCrossing", {"num_bins": 10**8}, "hashes text"),
            ("STFTSpectrogram", {"fft_length": 2**20, "frame_length": 2**20}, "takes sound"),
            ("MelSpectrogram", {"fft_length": 2**26, "num_mel_bins": 2**20}, "takes sound"),
            ("MaxNumBoundingBoxes", {"max_number": 10**8}, "takes boxes"),
        )
    },
    "a split into ten million": (
        op("numpy", "Split", indices_or_sections=10**7, axis=1),
        "found indices_or_sections = 10,000,000; expected at most 1,000",
    ),
    "patches by an identity of 10^10": (
        op("image", "ExtractPatches", size=[224, 224], data_format="channels_last"),
        r"found keras\.src\.ops\.image\.ExtractPatches, an operation that is not known to stay",
    ),
    "a loop": (op("core", "ForiLoop", lower=0, upper=10**8), r"ForiLoop, an operation that is not known to stay"),
    "an operation without a name of its own": (
        one("Operation", module="keras.src.ops.operation"),
        "Operation, an oper",
    ),
    # what goes from layer to layer
    "UpSampling2D": (one("UpSampling2D", size=[10**4, 10**4]), BIG),
    "UpSampling3D": (one("UpSampling3D", (4, 4, 4, 3), size=[1000, 1000, 1000]), BIG),
    "ZeroPadding2D": (one("ZeroPadding2D", padding=[[10**6, 0], [10**6, 0]]), BIG),
    "ZeroPadding1D": (one("ZeroPadding1D", (64, 3), padding=[2**27, 2**27]), BIG),
    "RepeatVector": (one("RepeatVector", (100,), n=10**8), BIG),
    "Resizing": (one("Resizing", height=10**6, width=10**6), BIG),
    "CenterCrop": (one("CenterCrop", height=10**6, width=10**6), BIG),
    "RandomCrop": (one("RandomCrop", height=10**6, width=10**6), BIG),
    "Conv2DTranspose": (one("Conv2DTranspose", filters=2, kernel_size=[1, 1], strides=[10**4, 10**4]), BIG),
    "Conv2D of many filters": (one("Conv2D", (2048, 2048, 3), filters=2**18, kernel_size=[1, 1]), BIG),
    "Dense on every pixel": (one("Dense", (2048, 2048, 3), units=2**18), BIG),
    "CategoryEncoding": (one("CategoryEncoding", (100,), num_tokens=2**27), BIG),
    "Embedding": (one("Embedding", (10**5,), input_dim=10, output_dim=10**5), BIG),
    "EinsumDense": (
        one("EinsumDense", (2048, 2048, 3), equation="abcd,de->abce", output_shape=[None, None, 10**5]),
        BIG,
    ),
    "a side that is not known": (
        row(
            ("EinsumDense", {"equation": "abcd,de->abce", "output_shape": [None, None, 4]}),
            ("UpSampling2D", {"size": [1000, 1000]}),
        ),
        BIG,
    ),
    "an image of a gigapixel": (keras_file(model(shape=(25_000, 25_000, 3))), BIG),
    "a tile": (op("numpy", "Tile", repeats=[1, 10**4, 10**4, 1]), BIG),
    "a repeated batch": (op("numpy", "Repeat", repeats=10**6, axis=0), BIG),
    "a repeated batch, thrice": (row(*[("Repeat", {"repeats": 1000, "axis": 0}, "keras.src.ops.numpy")] * 3), BIG),
    "a padded batch": (
        op("numpy", "Pad", pad_width=[[10**6, 0], [0, 0], [0, 0], [0, 0]]),
        BIG,
    ),
    "a broadcast": (op("numpy", "BroadcastTo", (1, 1, 3), shape=[1, 20_000, 20_000, 3]), BIG),
    "one-hot": (op("nn", "OneHot", num_classes=10**8), BIG),
    "all of it kept": (kept, BIG),
    # what a layer makes within itself
    "depths between": (
        one("SeparableConv2D", (2048, 2048, 1), filters=1, kernel_size=[1, 1], depth_multiplier=10**6),
        BIG,
    ),
    "pixels moved apart": (one("Conv2D", filters=1, kernel_size=[1, 1], dilation_rate=[10**6, 10**6]), BIG),
    "causal padding": (
        one("Conv1D", (64, 512), filters=1, kernel_size=[2], dilation_rate=[10**7], padding="causal"),
        BIG,
    ),
    "heads": (twice("MultiHeadAttention", (512, 512, 3), num_heads=8, key_dim=2), BIG),
    "grouped heads": (
        twice("GroupQueryAttention", (2**16, 4), head_dim=2, num_query_heads=4, num_key_value_heads=2),
        BIG,
    ),
    "attention": (on_pair("Attention", (2**16, 4)), BIG),
    "additive attention": (on_pair("AdditiveAttention", (2**14, 64)), BIG),
    "padded to a ratio": (
        row(
            ("Reshape", {"target_shape": [1, 4096 * 64, 3]}),
            ("Resizing", {"height": 1, "width": 1, "pad_to_aspect_ratio": True}),
            shape=(512, 512, 3),
        ),
        BIG,
    ),
    "pooled to more than there was": (
        one("AdaptiveAveragePooling2D", (2, 2**17, 1), output_size=[2**17, 1]),
        BIG,
    ),
    "ten thousand steps, written out": (
        row(("Reshape", {"target_shape": [64 * 64 * 3, 1]}), ("LSTM", {"units": 1, "unroll": True})),
        "takes 12,288 steps, one after another; expected at most 1,000",
    ),
    "a million steps": (
        row(("Reshape", {"target_shape": [2**20, 3]}), ("GRU", {"units": 1}), shape=(1024, 1024, 3)),
        "takes 1,048,576 steps, one after another; expected at most 100,000",
    ),
    "steps of a layer": (
        row(
            ("Reshape", {"target_shape": [64 * 64, 3]}),
            ("TimeDistributed", {"layer": {k: v for k, v in layer("ReLU").items() if k != "inbound_nodes"}}),
        ),
        "takes 4,096 steps, one after another",
    ),
    "within a model in the model": (
        nested([("UpSampling2D", {"size": [300, 300]}), ("GlobalAveragePooling2D", {})], [], (None, None, 3)),
        BIG,
    ),
}
