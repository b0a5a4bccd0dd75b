"""The truth about a model: `metrics` computes numbers, `plots` and `compare` draw and set side by side what was computed."""
