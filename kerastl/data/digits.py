"""`digits`: 1,797 real scans of hand-written digits, 8 x 8 pixels, that come with scikit-learn (UCI ML repository)."""

import numpy as np
from sklearn.datasets import load_digits as _sklearn_digits

from kerastl.data.images import Images, Source


def load_digits():
    """The scans as RGB, strokes bright on dark, all in one split.

    Returns:
        A `Source` of 1,797 uint8 images of shape (8, 8, 3) in 10 classes.
    """
    scans = _sklearn_digits()
    grey = np.round(scans.images * (255 / 16)).astype(np.uint8)
    return Source(tuple("0123456789"), Images(np.repeat(grey[..., None], 3, axis=3), scans.target.astype(np.int64)))
