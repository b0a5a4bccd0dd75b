#!/usr/bin/env bash
# Fine-tune first or freeze first: CIFAR-10 with two real backbones, one table and one figure at the end.
#   benchmarks/order_of_phases.sh DATA_DIR RESNET_WEIGHTS MOBILENET_WEIGHTS OUT [SEED]
# DATA_DIR holds CIFAR-10 (TensorFlow Datasets' or keras.datasets' layout). RESNET_WEIGHTS are Keras' ImageNet ResNet-50 up to
# conv4_block6_out, MOBILENET_WEIGHTS its MobileNetV2 without top, both saved with save_weights (.weights.h5).
set -euo pipefail
data=$1 resnet=$2 mobilenet=$3 out=$4 seed=${5:-0}

train() { # train NAME STRATEGY --set ...
  kerastl train "cifar10-$2" "${@:3}" --set "seed=$seed" --set "export.folder=$out/exports/$1" --data-dir "$data" --out "$out/$1-$2"
}

for strategy in finetune-first freeze-first; do
  train resnet50 "$strategy" --set model.features=conv4_block6_out --set "model.weights=$resnet" --set model.image_size=64
  train mobilenetv2 "$strategy" --set model.backbone=MobileNetV2 --set "model.weights=$mobilenet" --set model.image_size=96
done
kerastl compare "$out"/{resnet50,mobilenetv2}-{finetune-first,freeze-first} --figure "$out/order_of_phases.png"
