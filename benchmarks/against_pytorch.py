"""ResNet-50's stem to conv4, forward and training, in kerastl and in PyTorch: images per second, in turns, same batch.

    pip install torch   # 2.13.0, CPU
    python benchmarks/against_pytorch.py [SIZE] [BATCH]

Forward is what the feature cache runs (the trunk, folded), and in PyTorch eval mode under inference_mode. Training is a step of
everything, BatchNorm updated, plain SGD. PyTorch: eager, in its default memory format and in channels_last.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from kerastl import build_model
from kerastl.model.cut import split
from kerastl.schema import ModelSpec
from kerastl.train.features import trunk_function
from kerastl.train.precision import precision

ROUNDS, STEPS = 5, 4
SIZE, BATCH = int((*sys.argv, "64")[1]), int((*sys.argv, "64", "64")[2])


class Bottleneck(nn.Module):
    def __init__(self, before, width, stride, shortcut):
        super().__init__()
        after = 4 * width
        layers = [(before, width, 1, stride), (width, width, 3, 1), (width, after, 1, 1)]
        self.body = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(i, o, k, s, k // 2), nn.BatchNorm2d(o), *([nn.ReLU(inplace=True)] if n < 2 else [])
                )
                for n, (i, o, k, s) in enumerate(layers)
            )
        )
        self.shortcut = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after)) if shortcut else nn.Identity()
        )

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def torch_trunk():
    layers, before = [nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2)):
        for block in range(blocks):
            layers.append(Bottleneck(before, width, stride if block == 0 else 1, block == 0))
            before = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 10))


def torch_cases():
    x = torch.randn(BATCH, 3, SIZE, SIZE)
    y = torch.randint(0, 10, (BATCH,))
    for layout in (torch.contiguous_format, torch.channels_last):
        for number in (torch.float32, torch.bfloat16):
            model = torch_trunk().to(memory_format=layout)
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
            images = x.to(memory_format=layout)
            name = f"{str(layout).split('_')[0].removeprefix('torch.')} {str(number).removeprefix('torch.')}"

            def forward(model=model, images=images, number=number):
                model.eval()
                with torch.inference_mode(), torch.autocast("cpu", number, enabled=number != torch.float32):
                    model(images)

            def train(model=model, images=images, number=number, optimizer=optimizer):
                model.train()
                optimizer.zero_grad()
                with torch.autocast("cpu", number, enabled=number != torch.float32):
                    loss = nn.functional.cross_entropy(model(images), y)
                loss.backward()
                optimizer.step()

            yield f"PyTorch {name}", forward, train


def keras_cases():
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8))
    targets = tf.one_hot(np.arange(BATCH) % 10, 10)
    for policy in ("float32", "mixed_bfloat16"):
        model = build_model(ModelSpec("ResNet50", "none", SIZE, "conv4_block6_out"), (SIZE, SIZE, 3), 10)
        run = trunk_function(split(model, "features")[0], policy, "float32")
        model.compile(keras.optimizers.SGD(1e-6), "categorical_crossentropy", jit_compile=False)
        floats = tf.cast(images, tf.float32)

        def train(model=model, policy=policy, floats=floats):
            with precision(model, policy):
                model.train_on_batch(floats, targets)

        yield f"kerastl {policy.removeprefix('mixed_')}", lambda run=run, floats=floats: run(floats).numpy(), train


def per_second(work):
    work()
    began = time.perf_counter()
    for _ in range(STEPS):
        work()
    return STEPS * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count())
    cases = [*keras_cases(), *torch_cases()]
    rates = {(name, kind): [] for name, *_ in cases for kind in ("forward", "training")}
    for _ in range(ROUNDS):
        for name, forward, train in cases:
            rates[name, "forward"].append(per_second(forward))
            rates[name, "training"].append(per_second(train))
    print(f"ResNet-50 to conv4 at {SIZE}, batch {BATCH}: images per second, median (least to most) of {ROUNDS} rounds")
    for (name, kind), values in rates.items():
        print(f"  {name:<28}{kind:<10}{statistics.median(values):8.0f}  ({min(values):.0f} to {max(values):.0f})")
