"""The report: one page that answers whether RL helped, and shows how the numbers came about."""
