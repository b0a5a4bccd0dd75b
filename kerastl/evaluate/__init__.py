"""The truth about a model: `metrics` computes numbers, `plots`, `compare` and `report` show what was computed."""
