"""Several processes, one GPU each, that train one model: how they start and what they exchange."""
