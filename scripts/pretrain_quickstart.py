"""Make the weights that `--sample` starts from: run the recipe pretrain-glyphs and keep its backbone.

    python scripts/pretrain_quickstart.py runs/pretrain [--set KEY=VALUE ...]

Writes kerastl/weights/glyphs.weights.h5 (at most 2 MB), the one file of weights in the package.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import keras

import kerastl
from kerastl.model.pretrained import SHIPPED, pretrained
from kerastl.recipe import parse_override

LIMIT = 2_000_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="run folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args()
    recipe = kerastl.recipe("pretrain-glyphs", **dict(map(parse_override, arguments.overrides)))
    run = kerastl.train(recipe, arguments.out)
    backbone = pretrained(recipe.model).model
    for layer in backbone.layers:
        if layer.weights:
            layer.set_weights(run.model.get_layer(layer.name).get_weights())
    keep(backbone)


def keep(backbone: keras.Model):
    """Write the weights in half precision: Keras reads them into float32, and the package stays small."""
    path = SHIPPED["glyphs"]
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / path.name
        backbone.save_weights(whole)
        with h5py.File(whole) as source, h5py.File(path, "w") as target:
            source.visititems(lambda name, item: _copy(item, target, name))
            _copy_attributes(source, target)
    size = path.stat().st_size
    print(f"{path}: {size:,} bytes")
    if size > LIMIT:
        raise SystemExit(f"{path}: {size:,} bytes; expected at most {LIMIT:,}")


def _copy(item, target, name):
    if isinstance(item, h5py.Dataset):
        copied = target.create_dataset(name, data=item[()].astype("float16") if item.dtype == "float32" else item[()])
    else:
        copied = target.require_group(name)
    _copy_attributes(item, copied)


def _copy_attributes(item, copied):
    for key, value in item.attrs.items():
        copied.attrs[key] = value


if __name__ == "__main__":
    main()
