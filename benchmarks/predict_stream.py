"""kerastl predict over files against plain model.predict over arrays: images per second in one run, and memory.

    python benchmarks/predict_stream.py DATA_DIR [IMAGES]

The images are the PNGs of CIFAR-10 in DATA_DIR (TensorFlow Datasets), written as files into a temporary folder; the model is a ResNet-50
up to conv4 at 64 pixels, as the recipe cifar10-fast builds it, with random weights. Plain predict has all images decoded in one
array. Both are timed ROUNDS times in turn, after one round of warming up, and the median is taken. Memory is what the process itself
has allocated (RssAnon), over a quarter of the files and over all of them, before the array is made.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from growth import anonymous, watched_peak

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZE, BATCH, CLASSES, ROUNDS = 32, 64, 10, 3


def write_files(data_dir, folder, images):
    """The PNGs as the dataset stores them, a thousand in a sub-folder."""
    import tensorflow_datasets as tfds

    decoders = {"image": tfds.decode.SkipDecoding()}
    rows = tfds.load("cifar10", split=f"train[:{images}]", data_dir=data_dir, download=False, decoders=decoders)
    for number, row in enumerate(rows.as_numpy_iterator()):
        path = folder / f"{number // 1000:03}" / f"{number:06}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(row["image"])
    return number + 1


def main(data_dir, images):
    import numpy as np

    from kerastl import build_model, predict_stream, recipe
    from kerastl.data.decode import decode
    from kerastl.deploy.predict import named

    spec = recipe("cifar10-fast", **{"model.weights": "none"})
    model = build_model(spec.model, (SIZE, SIZE, 3), CLASSES)

    def stream(items):
        began, count = time.perf_counter(), 0
        for _ in predict_stream(model, items, batch=BATCH):
            count += 1
        return count / (time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        images = write_files(data_dir, Path(folder), images)
        paths = [path for _, path in named(folder)]
        stream(paths[: 4 * BATCH])
        print(f"{images:,} files; {anonymous() / 1e6:.0f} MB before", flush=True)
        peak = watched_peak()
        for some in (paths[: images // 4], folder):
            stream(some)
            print(f"peak {peak[0] / 1e6:.0f} MB over {len(some) if some is not folder else images:,} files", flush=True)
        pixels = np.stack([decode(path, SIZE) for path in paths])
        model.predict(pixels[: 4 * BATCH], batch_size=BATCH, verbose=0)
        rates = {"plain": [], "files": []}
        for _ in range(ROUNDS):
            began = time.perf_counter()
            expected = model.predict(pixels, batch_size=BATCH, verbose=0)
            rates["plain"].append(images / (time.perf_counter() - began))
            rates["files"].append(stream(folder))
        given = np.array([answer.probabilities[0] for answer in predict_stream(model, folder, top=1, batch=BATCH)])
    plain, files = (statistics.median(rates[name]) for name in ("plain", "files"))
    for name, some in rates.items():
        print(f"{name}: " + ", ".join(f"{rate:.0f}" for rate in some) + " images/s")
    print(f"ratio of the medians: {files / plain:.3f}")
    print(f"largest difference of the top probabilities: {np.abs(given - expected.max(axis=1)).max():.1e}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20000)
