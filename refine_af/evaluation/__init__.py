"""Evaluation on unseen tasks: loading, prompts, official metrics and the paired comparison."""
