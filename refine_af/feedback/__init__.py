"""Automated feedback: indicators, reward presets, normalisation, guards, preflight and alarms.

Nothing here loads a heavy library; the models behind the indicators are opened by
``refine_af.engines.scorers.opening``.
"""
