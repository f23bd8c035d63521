"""Where every row of a run came from, what became of it, and whether all of it is still there."""
