"""The same picture, though not the same file: 64 bits that stay as they are when it is saved again or resized."""

import warnings

import numpy as np
from PIL import Image
from scipy import fft

from kerastl.errors import KerastlWarning

SIDE, LOW = 32, 8  # of the picture that is transformed, and of the low frequencies that are kept
FLAT = 8  # grey levels between the darkest and the brightest, below which the frequencies are noise
# As many bits as two hashes of one picture may differ in. Pictures saved again at other qualities or sizes differ in 2 at
# most in 97 of 100 cases (distances are even, as half of the bits are set); with 3 of 64, one of four pieces is the same.
NEAR, PIECES = 3, 4
# Hashes of which more than so many have a piece in common are divided once and twice more, by what is left of their bits.
MANY, DIVIDED = 500, 2
# Pictures can be made so that all have pieces in common: comparing and noting ends somewhere, and that is said.
MOST_COMPARED, MOST_PAIRS, AT_ONCE = 2_000_000_000, 1_000_000, 10_000_000


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
    for alike in _compared(_alike_in_a_piece(hashes), lambda alike: len(alike) ** 2 // 2):
        for i, place in enumerate(alike[:-1], 1):
            near = alike[i:][np.bitwise_count(hashes[alike[i:]] ^ hashes[place]) <= NEAR]
            found.update((int(place), int(other)) for other in near)
            if len(found) > MOST_PAIRS:
                _tell_that_some_are_missing()
                return sorted(found)[:MOST_PAIRS]
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

    def both(alike):
        return alike[alike < len(hashes)], alike[alike >= len(hashes)] - len(hashes)

    def product(alike):
        return len(both(alike)[0]) * len(both(alike)[1])

    for alike in _compared(_alike_in_a_piece(np.concatenate([hashes, others])), product):
        every, its = both(alike)
        for mine in np.array_split(every, 1 + product(alike) // AT_ONCE) if len(every) and len(its) else ():
            distances = np.bitwise_count(hashes[mine, None] ^ others[its])
            best = distances.argmin(axis=1)
            found, least = its[best], distances[np.arange(len(mine)), best]
            better = (least < bits[mine]) | ((least == bits[mine]) & (least <= NEAR) & (found < place[mine]))
            place[mine[better]], bits[mine[better]] = found[better], least[better]
    return place


def _alike_in_a_piece(hashes, places=None, bits=range(64), times=DIVIDED):
    """Places of hashes of which one piece is the same, in ascending order; of each piece, in turn.

    Two that differ in fewer bits than there are pieces have a piece in common; and of what is left of them again one.
    """
    places = np.arange(len(hashes)) if places is None else places
    for piece in np.array_split(np.array(bits), PIECES):
        mask = np.bitwise_or.reduce(np.uint64(1) << piece.astype(np.uint64))
        keys = hashes[places] & mask
        order = np.argsort(keys, kind="stable")
        for alike in np.split(places[order], np.flatnonzero(np.diff(keys[order])) + 1):
            if len(alike) > MANY and times:
                yield from _alike_in_a_piece(hashes, alike, np.setdiff1d(bits, piece), times - 1)
            elif len(alike) > 1:
                yield alike


def _compared(groups, cost):
    """The groups, as long as there is room for what comparing each of them costs."""
    left, missing = MOST_COMPARED, False
    for group in groups:
        left -= (cost_of_it := cost(group))
        if left < 0:
            missing, left = True, left + cost_of_it
        else:
            yield group
    if missing:
        _tell_that_some_are_missing()


def _tell_that_some_are_missing():
    warnings.warn(
        "near copies: there are so many pictures that are almost alike that not all were compared; some copies are not told",
        KerastlWarning,
        stacklevel=3,
    )
