"""The programmatic skills, by family."""
