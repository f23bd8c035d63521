"""REFINE-AF: instruction data and fine-tuned small LLMs from automated feedback."""

__version__ = "0.1.0"
