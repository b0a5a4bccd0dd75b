"""Where images come from, how they are split, batched and augmented.

A source (`cifar`, `catalogue`, `folder`, `digits`, `glyphs`) gives `Images` per split, kept where `cache` says; `split` turns
them into the three splits of a recipe; `batches` makes tf.data of them, with `augment` on the way. `load` is the door.
"""
