"""Parameters of stages: flat, typed scalars, each with a default, a help line and a source."""

from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refine_af.contracts.credentials import refuse_credentials
from refine_af.contracts.errors import ParameterError, nearest

Scalar = str | int | float | bool


def param(
    default: Scalar | None,
    help_line: str,
    *,
    source: str = "project choice",
    method: bool = True,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:  # noqa: ANN401  pydantic's Field is typed so: the annotation of the field decides
    """Declare one parameter of a stage.

    Args:
        default: A value that works; ``None`` makes the parameter required.
        help_line: One line for people: unit, meaning, special values.
        source: Paper, section or measurement that the default comes from.
        method: Whether it can change rows. Parameters that only change speed or place
            (batch size, number of processes) stay out of the journal's key.
        ge: Smallest allowed value.
        gt: Value that must be exceeded.
        le: Largest allowed value.
        lt: Value that must not be reached.
    """
    extra: dict[str, Any] = {"source": source, "method": method}
    return Field(
        default=... if default is None else default,
        description=help_line,
        json_schema_extra=extra,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
    )


class Params(BaseModel):
    """Base of every stage's parameters: frozen, no unknown key, no non-finite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    stage_name: ClassVar[str] = ""

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str = "") -> Self:
        """Return checked parameters.

        Args:
            values: Raw values; text is converted where the type asks for a number or a flag.
            where: What to name before the parameter, such as the stage.

        Raises:
            ParameterError: For an unknown key (with the nearest match) or a value out of range.
        """
        prefix = f"{where}." if where else ""
        for key in values:
            if key not in cls.model_fields:
                allowed = sorted(cls.model_fields)
                raise ParameterError(
                    f"{prefix}{key} is not a parameter;{nearest(key, allowed)}"
                    f" allowed: {', '.join(allowed)}"
                )
            refuse_credentials(f"{prefix}{key}", values[key])
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ParameterError(_message(error, prefix)) from None

    def method_values(self) -> dict[str, Scalar]:
        """Return the values that can change rows, by name (the journal's key uses them)."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["method"]
        }


def _message(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    name = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{name} is required; it has no default"
    allowed = first["msg"].replace("Input should be", "it must be", 1)
    return f"{name} is {first['input']!r}; {allowed}"


def scalar_type(annotation: Any) -> type[str] | type[int] | type[float] | type[bool]:  # noqa: ANN401
    """Return the plain type that a parameter crosses boundaries as (``Literal`` is ``str``)."""
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    if annotation in (str, int, float, bool):
        return annotation  # type: ignore[no-any-return]
    raise TypeError(f"a stage parameter must be str, int, float, bool or Literal, not {annotation}")


def choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the allowed words of a ``Literal`` annotation, or nothing."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()
