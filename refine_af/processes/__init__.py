"""Several processes, one GPU each, that train one model: on one node, or as a job of several."""
