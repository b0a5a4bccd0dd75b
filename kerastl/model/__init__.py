"""From a recipe's model table to one flat `keras.Model`.

`backbones` is the table, `pretrained` makes a backbone with its weights, `graph` puts resize, preprocessing, backbone and
head into one graph of built-in layers, and `groups` names its parts from stem to head.
"""
