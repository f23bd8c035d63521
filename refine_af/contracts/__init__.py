"""What crosses a boundary: stages, parameters, records, errors, randomness, progress.

Nothing here imports a heavy library, so other teams can import it for the price of pydantic.
"""
