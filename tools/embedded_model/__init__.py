"""Builds the model that ships with the package: its corpus, training, reward, tasks and card."""
