"""Adapters of the models that judge text; each imports its heavy library when it is opened."""
