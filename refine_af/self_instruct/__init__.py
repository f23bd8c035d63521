"""Self-Instruct (arXiv 2212.10560): prompts, parsing and filters of instructions and instances."""
