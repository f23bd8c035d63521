"""The report: one page that answers whether RL helped, and how the numbers were computed."""
