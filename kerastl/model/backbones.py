"""The table of backbones: how each wants its pixels, and where its stages end.

A stage is what learns at one rate: stem, stage1 ... stage4, then the head. A row gives, for the stem and the first stages, a
pattern of layer names whose last match closes the stage; the last stage takes the rest. Layers between two ends need no
name of their own, which is what Inception's automatic names ask for. Nothing here imports Keras.
"""

from dataclasses import dataclass
from pathlib import Path

from kerastl import strict
from kerastl.errors import RecipeError


@dataclass(frozen=True)
class Backbone:
    """One row.

    Args:
        preprocessing: keras.applications' mode (caffe, tf, torch), or none where the backbone holds its own.
        ends: patterns (`re.fullmatch`) of layer names that close stem, stage1, stage2, ...; empty: one group "backbone".
        top_size: side in pixels that the ImageNet classifier was trained at.
        license: of the ImageNet weights, as the documentation of keras.applications gives it, by its identifier at SPDX; empty
            where it gives none.
    """

    preprocessing: str
    ends: tuple[str, ...] = ()
    top_size: int = 224
    license: str = ""


RESNET = ("pool1_pool", r"conv2_block\d+_out", r"conv3_block\d+_out", r"conv4_block\d+_out")
VGG = ("block1_pool", "block2_pool", "block3_pool", "block4_pool")
EFFICIENTNET = ("block1.*", "block2.*", "block3.*", "block5.*")
CONVNEXT = (".*_stem", ".*_stage_0_.*", ".*_stage_1_.*", ".*_stage_2_.*")
DENSENET = ("pool1", "pool2_pool", "pool3_pool", "pool4_pool")
KERAS_HUB_RESNET = ("pool1_pool", "stack0_.*", "stack1_.*", "stack2_.*")

TABLE = {
    **{name: Backbone("caffe", RESNET, license="mit") for name in ("ResNet50", "ResNet101", "ResNet152")},
    **{name: Backbone("tf", RESNET) for name in ("ResNet50V2", "ResNet101V2", "ResNet152V2")},
    **{name: Backbone("caffe", VGG, license="cc-by-4.0") for name in ("VGG16", "VGG19")},
    **{
        name: Backbone("torch", DENSENET, license="bsd-3-clause")
        for name in ("DenseNet121", "DenseNet169", "DenseNet201")
    },
    **{
        f"EfficientNetB{i}": Backbone("none", EFFICIENTNET, size)
        for i, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{f"EfficientNetV2B{i}": Backbone("none", EFFICIENTNET, size) for i, size in enumerate((224, 240, 260, 300))},
    **{
        f"EfficientNetV2{kind}": Backbone("none", EFFICIENTNET, size)
        for kind, size in (("S", 384), ("M", 480), ("L", 480))
    },
    **{f"ConvNeXt{kind}": Backbone("none", CONVNEXT) for kind in ("Tiny", "Small", "Base", "Large", "XLarge")},
    "MobileNet": Backbone(
        "tf", ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu"), license="apache-2.0"
    ),
    "MobileNetV2": Backbone(
        "tf", ("expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add"), license="apache-2.0"
    ),
    "MobileNetV3Small": Backbone(
        "none", ("conv_bn", r"expanded_conv_project_bn", "expanded_conv_2_add", "expanded_conv_7_add")
    ),
    "MobileNetV3Large": Backbone(
        "none", ("expanded_conv_add", "expanded_conv_2_add", "expanded_conv_5_add", "expanded_conv_11_add")
    ),
    "InceptionV3": Backbone("tf", ("mixed0", "mixed2", "mixed4", "mixed7"), 299, "apache-2.0"),
    "InceptionResNetV2": Backbone(
        "tf", ("mixed_5b", "block35_10_ac", "block17_10_ac", "block17_20_ac"), 299, "apache-2.0"
    ),
    "Xception": Backbone("tf", ("block1_conv2_act", "block2_pool", "block4_pool", "block12_sepconv3_bn"), 299, "mit"),
    "NASNetMobile": Backbone(
        "tf", ("reduction_concat_stem_2", "normal_concat_3", "normal_concat_8"), license="apache-2.0"
    ),
    "NASNetLarge": Backbone(
        "tf", ("reduction_concat_stem_2", "normal_concat_5", "normal_concat_12"), 331, "apache-2.0"
    ),
    "SmallCNN": Backbone("tf", VGG),
}

# KerasHub's families, by a word in the preset's name; their preprocessing comes with the preset.
KERAS_HUB_ENDS = {"resnet": KERAS_HUB_RESNET}

# Presets whose architecture is written here too, so that weights = "none" (dry runs, tests) needs no download.
_BASIC = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "block_type": "basic_block",
    "use_pre_activation": False,
}
PRESETS = {
    "resnet_18_imagenet": (
        "ResNetBackbone",
        {
            "stackwise_num_filters": [64, 128, 256, 512],
            "stackwise_num_blocks": [2, 2, 2, 2],
            "stackwise_num_strides": [1, 2, 2, 2],
            **_BASIC,
        },
    ),
}


def kind_of(name):
    """What a recipe's backbone is: "application", "hub" or "file".

    Raises:
        RecipeError: none of them.
    """
    if name in TABLE:
        return "application"
    if name.startswith("hub:"):
        return "hub"
    if Path(name).suffix.lower() in (".keras", ".h5"):
        return "file"
    raise RecipeError(
        f"model.backbone: found {name!r}; {strict.suggest(name, TABLE)}; or hub:PRESET of KerasHub, or the path of a .keras file"
    )
