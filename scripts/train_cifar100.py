"""Adapt a pretrained network to CIFAR-100.

python scripts/train_cifar100.py --strategy progressive
python scripts/train_cifar100.py --strategy last-layers --set phases.0.trainable.last_layers=12
"""

from kerastl.script import train_script

if __name__ == "__main__":
    train_script("cifar100", strategy="progressive")
