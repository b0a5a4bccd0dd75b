"""The best weights of a phase, on disk, for as long as they are the best."""

import keras

from kerastl.files import flush


class BestWeights(keras.callbacks.ModelCheckpoint):
    """Keras' ModelCheckpoint, with a file for each epoch that was the best, until the state of the run knows of it.

    A single file that is overwritten would be ahead of the state whenever a process dies between the two.

    Args:
        folder: for the files; made where it is missing.
        name: what their names begin with.
        monitor: val_loss or val_accuracy.

    Attributes:
        best_epoch: counted from 1; 0 before the first, and for the weights before the phase.
    """

    def __init__(self, folder, name, monitor):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name, self.best_epoch = folder, name, 0
        pattern = str(folder / name).replace("{", "{{").replace("}", "}}") + "-{epoch:03d}.weights.h5"
        super().__init__(pattern, monitor=monitor, save_best_only=True, save_weights_only=True)

    @property
    def file(self):
        """Path of the best weights so far."""
        return self.folder / f"{self.name}-{self.best_epoch:03d}.weights.h5"

    def begin_with(self, model, scores):
        """Let the weights before the phase be the best so far.

        Args:
            model: what learns in the phase.
            scores: of these weights, as `model.evaluate` gives them.
        """
        self.best, self.best_epoch = scores[self.monitor.removeprefix("val_")], 0
        model.save_weights(self.file)
        flush(self.file)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._forget_others()

    def on_epoch_end(self, epoch, logs=None):
        before = self.best
        super().on_epoch_end(epoch, logs)
        if self.best != before:
            self.best_epoch = epoch + 1
            flush(self.file)

    def on_train_end(self, logs=None):
        self._forget_others()

    def _forget_others(self):
        for path in self.folder.glob(f"{self.name}-*.weights.h5"):
            if path != self.file:
                path.unlink()
