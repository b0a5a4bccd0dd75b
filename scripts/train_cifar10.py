"""Adapt a pretrained network to CIFAR-10.

python scripts/train_cifar10.py --strategy finetune-first --sample     # offline, the embedded sample
python scripts/train_cifar10.py --strategy finetune-first              # CIFAR-10, ImageNet ResNet-50 at 224
"""

from kerastl.script import train_script

if __name__ == "__main__":
    train_script("cifar10", strategy="finetune-first")
