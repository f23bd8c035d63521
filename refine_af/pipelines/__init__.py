"""The pipelines, each one DAG in plain KFP, with presets and the ways to run them."""
