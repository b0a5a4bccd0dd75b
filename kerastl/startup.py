"""Starting TensorFlow: its notices are set aside, and one line says what it will train on."""

import contextlib
import logging
import os
import sys
import tempfile

from kerastl.keras_settings import correct_keras, prepare_keras

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def start_tensorflow():
    """Import TensorFlow and find its devices, without the dozen lines it prints on the way.

    What is hidden is shown after all if the start fails; set TF_CPP_MIN_LOG_LEVEL=0 to see it always.

    Returns:
        A sentence naming the devices.

    Raises:
        ImportError: it cannot be started; what it said on the way is shown.
        UserError: Keras cannot be set as it has to be; see `correct_keras`.

    Example:
        >>> start_tensorflow()  # doctest: +SKIP
        'on the CPU (2 cores); no GPU found'
    """
    prepare_keras()
    if LEVEL in os.environ:
        told = _devices()
        correct_keras()
        return told
    os.environ[LEVEL] = "2"
    with stderr_set_aside():
        told = _devices()
        import keras  # noqa: F401 (it has notices as well)
    correct_keras()
    import tensorflow as tf

    for logger in (tf.get_logger(), logging.getLogger("absl")):  # in a notebook TensorFlow sets a level of its own
        logger.setLevel(logging.ERROR)  # retracing, and that .h5, which was asked for, is legacy
    return told


@contextlib.contextmanager
def stderr_set_aside():
    """Keep back what is written to the error output, from C++ too; it is shown if the block raises."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        real, aside = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    except OSError:  # it is closed, so that nothing of it can be seen; or there is no place for what is set aside
        yield
        return
    with aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(real, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def _devices():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return f"on {', '.join(names)}" if names else f"on the CPU ({os.cpu_count()} cores); no GPU found"
