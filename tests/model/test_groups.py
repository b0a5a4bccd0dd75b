"""Layer groups: every layer that can learn is in exactly one, in the order of the graph."""

import pytest

from kerastl.model import backbones
from kerastl.model.graph import INPUT_LAYERS, build_model
from kerastl.model.groups import layer_groups, learnable
from kerastl.schema import ModelSpec

# One of each family; the slow test takes the rest of the table.
FAMILIES = (
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "SmallCNN",
)
ALL = ("stem", "stage1", "stage2", "stage3", "stage4", "head")


def check(backbone, features="avg"):
    model = build_model(ModelSpec(backbone, "none", 96, features, preprocessing="none"), (32, 32, 3), 4)
    groups = layer_groups(model, backbone)
    grouped = [layer.name for layers in groups.values() for layer in layers]
    able = [layer.name for layer in model.layers if learnable(layer) and layer.name not in INPUT_LAYERS]
    assert len(grouped) == len(set(grouped)) and set(able) <= set(grouped)
    order = [layer.name for layer in model.layers if layer.name in set(grouped)]
    assert grouped == order
    assert all(any(learnable(layer) for layer in layers) for layers in groups.values())
    return groups


@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_family(backbone):
    assert tuple(check(backbone)) == ALL


@pytest.mark.slow
@pytest.mark.parametrize("backbone", sorted(set(backbones.TABLE) - set(FAMILIES)))
def test_the_rest_of_the_table(backbone):
    assert tuple(check(backbone)) == ((*ALL[:4], "head") if backbone.startswith("NASNet") else ALL)


def test_resnet_stages_are_its_blocks():
    groups = check("ResNet50")
    for stage, prefix in (
        ("stem", "conv1_"),
        ("stage1", "conv2_"),
        ("stage2", "conv3_"),
        ("stage3", "conv4_"),
        ("stage4", "conv5_"),
    ):
        assert {layer.name[:6] for layer in groups[stage] if learnable(layer)} == {prefix}


def test_a_cut_backbone_loses_its_last_stage():
    assert tuple(check("ResNet50", "conv4_block6_out")) == ("stem", "stage1", "stage2", "stage3", "head")


def test_a_hub_resnet():
    pytest.importorskip("keras_hub")
    assert tuple(check("hub:resnet_18_imagenet")) == ALL


def test_a_model_of_ones_own_is_one_group(tmp_path):
    from kerastl.model.small_cnn import small_cnn

    small_cnn((96, 96, 3)).save(tmp_path / "own.keras")
    model = build_model(ModelSpec(str(tmp_path / "own.keras"), image_size=96), (96, 96, 3), 4)
    assert tuple(layer_groups(model, str(tmp_path / "own.keras"))) == ("backbone", "head")
