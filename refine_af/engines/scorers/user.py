"""The user's own reward, named ``module:function``."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.feedback.interface import Parts, Triplet


class UserScorer:
    """Calls ``function(rows)``, where ``rows`` is a list of ``Triplet``.

    The function returns one number per row, which becomes the part named like the function. For
    several parts, set ``function.part_names = ("name", ...)`` and return one dictionary per row;
    the part named like the function must be among them, it is the total.
    """

    def __init__(self, path: str) -> None:
        """Import the function ``module:function``; ParameterError if it cannot be called."""
        self.name = path
        self._function, own = _imported(path)
        self.part_names: tuple[str, ...] = tuple(getattr(self._function, "part_names", (own,)))
        self._own = own
        if own not in self.part_names:
            raise ParameterError(
                f"{path}: part_names is {self.part_names}; it must hold {own!r}, the total"
            )

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the function's parts; DataError when it raises or returns another shape."""
        try:
            values = list(self._function(list(rows)))
        except Exception as error:  # the user's code may raise anything
            raise DataError(
                f"reward {self.name} raised {type(error).__name__}: {error}, on {len(rows)} rows;"
                " correct the function"
            ) from error
        return [self._parts(value, number) for number, value in enumerate(values, start=1)]

    def _parts(self, value: object, number: int) -> Parts:
        values: dict[Any, Any] = value if isinstance(value, dict) else {self._own: value}
        try:
            return {str(name): float(part) for name, part in values.items()}
        except (TypeError, ValueError):
            raise DataError(
                f"reward {self.name}, row {number}: found {value!r}; it must be a number, or a"
                " dictionary of numbers"
            ) from None


def _imported(path: str) -> tuple[Callable[[list[Triplet]], Sequence[Any]], str]:
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name.isidentifier():
        raise ParameterError(f"reward is {path!r}; it must be module:function")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ParameterError(
            f"reward {path}: cannot import {module_name} ({error}); is it on PYTHONPATH?"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = nearest(function_name, [name for name in dir(module) if not name.startswith("_")])
        raise ParameterError(f"reward {path}: {module_name} has no such function;{near}")
    return function, function_name
