"""What makes any recipe small: 48 training scans, a small network, one epoch a phase."""

# Of the finished run that tests share, in the place of what sixteen images would say of it.
TEMPERATURE = {"value": 1.5, "interval": [1.2, 2.0], "n": 16}
TINY = {
    "data.name": "digits",
    "data.limit": 64,
    "data.validation": 0.25,
    "data.repeat": 1,
    "model.backbone": "SmallCNN",
    "model.weights": "none",
    "model.image_size": 32,
    "model.features": "avg",
    "model.options": {},
    "train.batch_size": 32,
    "train.epochs_scale": 0.001,
    "train.learning_rate_scale": 1.0,
    "evaluate.report": False,
}
