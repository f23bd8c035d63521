"""KFP components, one folder a stage; written by ``make gen``."""
