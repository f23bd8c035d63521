"""Model calls that a killed stage does not repeat: one mechanism for every generating stage."""
