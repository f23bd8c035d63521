"""Pure functions from a stage to what other systems read: KFP source, pages, placement."""
