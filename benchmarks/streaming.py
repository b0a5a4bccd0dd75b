"""Data larger than memory: seconds and memory of loading, of an epoch of batches and of a training, for each data.cache.

    python benchmarks/streaming.py FOLDER [--limit MB] [IMAGES ...]

FOLDER takes noisy JPEGs of varying size (about 130 KB each), as class folders and as a dataset of TensorFlow Datasets; they are made
where they are missing. Each line is a process of its own, put under a limit of memory (a memory cgroup of version 1, which takes
root; without one, the line says so). "anon" is the peak of what the process itself allocates (RssAnon): pages of files, which the limit
counts too, can be taken back by the system at any time. A process that needs more than the limit is killed, and the line says that.
"disk" stands twice: the first run fills the cache, the second finds it.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth import anonymous, watched_peak

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZE, BATCH, CLASSES = 448, 32, 10
RUNS = [(source, cache) for source in ("tfds", "folder") for cache in ("none", "disk", "disk", "ram")]


def photo(number):
    """A smooth picture under noise, as the bytes of a JPEG."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(number)
    size = tuple(random.integers(360, 520, 2).tolist())
    smooth = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth, np.int16) + random.integers(-60, 60, (size[1], size[0], 3), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def make(folder, images):
    """The class folders, and the dataset of the same files."""
    photos = folder / f"photos{images}"
    if not photos.exists():
        making = folder / f"making{images}"
        for number in range(images):
            path = making / f"class{number % CLASSES}" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo(number))
        making.rename(photos)
    if not (folder / f"noise{images}").exists():
        import tensorflow_datasets as tfds

        paths = sorted(photos.rglob("*.jpg"))
        names = [f"class{number}" for number in range(CLASSES)]
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=names),
        }
        tfds.dataset_builders.store_as_tfds_dataset(
            name=f"noise{images}",
            version="1.0.0",
            data_dir=folder,
            features=tfds.features.FeaturesDict(features),
            split_datasets={"train": [(p.stem, {"image": str(p), "label": p.parent.name}) for p in paths]},
        )


def one(folder, images, source, cache, home):
    """One line: load, go through the batches of an epoch, train."""
    os.environ["KERAS_HOME"] = home
    import kerastl
    from kerastl.data.batches import training_batches

    peak = watched_peak()
    name = {"tfds": f"tfds:noise{images}", "folder": f"folder:photos{images}"}[source]
    spec = kerastl.recipe(
        "cifar10-finetune-first",
        strategy="scratch",
        **{"data.name": name, "data.dir": folder, "data.cache": cache, "data.image_size": SIZE},
        **{"model.backbone": "SmallCNN", "model.weights": "none", "model.image_size": 32, "model.features": "avg"},
        **{"train.batch_size": BATCH, "train.evaluation_batch": BATCH},
        **{"model.options": {}, "train.epochs_scale": 0.001, "export.formats": []},
    )
    said = {"start": anonymous()}
    began = time.perf_counter()
    data = kerastl.load(spec.data, spec.model.image_size, 0)
    said |= {"load": time.perf_counter() - began, "loaded": peak[0]}
    began = time.perf_counter()
    for pixels, _ in training_batches(data.train, CLASSES, BATCH, 1, seed=0):
        assert pixels.shape[1:] == (SIZE, SIZE, 3)
    said |= {"epoch": time.perf_counter() - began, "images": len(data.train), "batches": peak[0]}
    del data
    began = time.perf_counter()
    kerastl.train(spec, Path(tempfile.mkdtemp()) / "run")
    said |= {"train": time.perf_counter() - began, "peak": peak[0]}
    print(json.dumps(said))


def limited(limit):
    """A cgroup with a limit of memory, or None where none can be made."""
    try:
        mine = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
        group = Path(f"/sys/fs/cgroup/memory{mine.split(':')[2]}") / f"streaming{os.getpid()}"
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except (OSError, StopIteration):
        return None
    return group


def told(command, group):
    def join():
        (group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=join if group else None)
    if done.returncode == -9:
        return "killed: needs more than the limit"
    if done.returncode:
        return f"failed: {done.stderr.splitlines()[-1]}"
    said = json.loads(done.stdout.splitlines()[-1])
    gb = {key: said[key] / 1e9 for key in ("start", "loaded", "batches", "peak")}
    return (
        f"load {said['load']:6.1f} s  epoch {said['epoch']:6.1f} s ({said['images'] / said['epoch']:5.0f} images/s)  train "
        f"{said['train']:6.1f} s  anon {gb['start']:.2f} at the start, {gb['loaded']:.2f} loaded, {gb['batches']:.2f} after the "
        f"epoch, {gb['peak']:.2f} GB trained"
    )


def main(folder, limit, sizes):
    group = limited(limit * 10**6)
    print(f"limit {limit / 1e3:.2f} GB" if group else "no memory cgroup of version 1 here: NO LIMIT", flush=True)
    for images in sizes:
        subprocess.run([sys.executable, __file__, "--make", folder, str(images)], check=True, capture_output=True)
        files = list((Path(folder) / f"photos{images}").rglob("*.jpg"))
        encoded, decoded = sum(path.stat().st_size for path in files) / 1e9, images * SIZE**2 * 3 / 1e9
        print(f"{images} images, {encoded:.2f} GB of JPEG, {decoded:.2f} GB decoded at {SIZE}", flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as homes:
            for source, cache in RUNS:
                command = [sys.executable, __file__, "--one", folder, str(images), source, cache]
                print(f"{source:6}  {cache:4}  {told([*command, f'{homes}/{source}'], group)}", flush=True)
    if group:
        group.rmdir()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--make", folder, images]:
            make(Path(folder), int(images))
        case ["--one", *arguments]:
            one(*arguments)
        case [folder, "--limit", limit, *sizes]:
            main(folder, int(limit), [int(size) for size in sizes] or [3000])
        case [folder, *sizes]:
            main(folder, 1500, [int(size) for size in sizes] or [3000])
