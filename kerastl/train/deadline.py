"""An end that was set before: the phase that reaches it ends with the step it is in, and with the best weights so far."""

import time

import keras


class Deadline(keras.callbacks.Callback):
    """Ends a phase when its time is over.

    Args:
        deadline: by `time.monotonic`.
    """

    def __init__(self, deadline):
        super().__init__()
        self.deadline = deadline

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() > self.deadline:
            self.model.stop_training = True
