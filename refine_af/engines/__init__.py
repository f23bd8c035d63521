"""Adapters of heavy libraries, one module each. Only these and the trainers name torch or vLLM."""
