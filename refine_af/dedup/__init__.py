"""Near-duplicates: the exact ROUGE-L filter, its index, and the contamination gate."""
