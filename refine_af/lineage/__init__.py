"""The history of every row of a run, and the verification of a run."""
