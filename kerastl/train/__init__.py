"""Training: `plan` decides who learns and how fast, `fit` obeys it phase by phase.

`schedules` and `optimizers` turn a phase's tables into Keras objects; `history` and `progress` are the callbacks that record
and show; `tensorboard` and `trackers` follow the rows of the history.
"""
