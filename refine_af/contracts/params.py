"""Parameters of steps and stages: flat, typed scalars, declared once.

A declaration holds a parameter's type, default, range, description and source; rules across
parameters are methods marked with :func:`rule`. Each step declares its parameters in its own
folder (``refine_af/ppo/params.py``), and a stage inherits them. A ``Params`` object exists only if
every check passed, so nothing is checked again where its values are used.
"""

from collections.abc import Callable, Collection
from copy import copy
from types import FunctionType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from refine_af.contracts.content import BY_ENGINE, Content, ContentKind
from refine_af.contracts.credentials import refuse_credentials
from refine_af.contracts.errors import ParameterError, allowed_names

Scalar = str | int | float | bool
Method = TypeVar("Method", bound=Callable[..., str])
LARGEST = 2**53 - 1
"""Largest integer: JSON and KFP keep no larger one exactly."""
LONGEST_SHOWN = 80
"""Characters of a value that a message shows."""


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
    names: ContentKind | None = None,
    digest: str = "",
    opened_by: str = "",
    counts_rows: bool = False,
) -> Any:  # noqa: ANN401  pydantic's Field is typed so: the annotation of the field decides
    """Declare one parameter.

    Args:
        default: A value that works; ``None`` makes the parameter required.
        help_line: One line for people: unit, meaning, special values.
        source: Paper, section or measurement that the default comes from.
        method: Whether it can change rows. Parameters that only change speed or location
            (batch size, number of processes) stay out of the journal's key.
        ge: Smallest allowed value.
        gt: Value that must be exceeded.
        le: Largest allowed value.
        lt: Value that must not be reached.
        names: Kind of content that the value names, see :mod:`refine_af.contracts.content`. A
            parameter of kind ``code`` or ``harness`` may list several, comma separated.
        digest: Name of the parameter that holds the content's expected digest or revision.
        opened_by: For a model: name of the parameter, or property, that says which engine opens it.
        counts_rows: Whether it says how many rows, or updates, a stage takes; 0 is then all of
            them. ``--limit`` lowers it.
    """
    extra: dict[str, Any] = {"source": source, "method": method}
    extra |= {"names": names, "digest": digest, "opened_by": opened_by}
    extra["counts_rows"] = counts_rows
    value = ... if default is None else default
    limits: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    return Field(default=value, description=help_line, json_schema_extra=extra, **limits)


def same_as(owner: "type[Params]", name: str) -> Any:  # noqa: ANN401  as :func:`param`
    """Declare one parameter as ``owner`` does, without its other parameters."""
    return copy(owner.model_fields[name])


def rule(parameter: str, *, reads_inputs: bool = False) -> Callable[[Method], Method]:
    """Mark a method of a ``Params`` class as a rule across its parameters.

    The method returns an empty string where the rule is kept, or else what is allowed and what to
    do; the error puts stage, ``parameter`` and its value before it.

    Args:
        parameter: The one that the error names.
        reads_inputs: Whether the method also takes the names of the stage's inputs that are
            there; such a rule is checked by :meth:`Params.check_inputs`.
    """

    def mark(method: Method) -> Method:
        method.parameter = parameter  # type: ignore[attr-defined]
        method.reads_inputs = reads_inputs  # type: ignore[attr-defined]
        return method

    return mark


CONVERSION = ConfigDict(allow_inf_nan=False, coerce_numbers_to_str=True)
"""How raw values become typed ones: a number is text where text is asked for (licence: 2024)."""


def _refuse_flag(name: str, value: object, annotation: object) -> None:
    """Refuse ``true`` for a number; Python takes it for 1."""
    if isinstance(value, bool) and annotation in (int, float):
        raise ParameterError(f"{name} is {str(value).lower()}; it must be a number")


class Params(BaseModel):
    """Base of all parameters: frozen, no unknown key, no non-finite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, **CONVERSION)

    @classmethod
    def parse(cls, values: dict[str, Any], *, where: str = "") -> Self:
        """Return checked parameters.

        Args:
            values: Raw values; text is converted where the type asks for a number or a flag.
            where: What to name before the parameter, such as the stage.

        Raises:
            ParameterError: For an unknown key (with the nearest match), a value out of range, a
                broken rule, or an address that holds a credential.
        """
        prefix = f"{where}." if where else ""
        for key in values:
            if key not in cls.model_fields:
                allowed = sorted(cls.model_fields)
                raise ParameterError(
                    f"{prefix}{key} is not a parameter;{allowed_names(key, allowed)}"
                )
            refuse_credentials(f"{prefix}{key}", values[key])
            _refuse_flag(f"{prefix}{key}", values[key], cls.model_fields[key].annotation)
        try:
            parsed = cls.model_validate(values)
        except ValidationError as error:
            raise ParameterError(_message(error, prefix)) from None
        except ParameterError as error:
            raise ParameterError(f"{prefix}{error}") from None
        return parsed

    @classmethod
    def check_value(cls, name: str, value: Scalar, *, where: str) -> Scalar:
        """Return one value in its parameter's type, checked against that and its range alone.

        Raises:
            ParameterError: As :meth:`parse`.
        """
        field = cls.model_fields[name]
        _refuse_flag(f"{where}.{name}", value, field.annotation)
        try:
            kind: TypeAdapter[Scalar] = TypeAdapter(
                Annotated[field.annotation, field], config=CONVERSION
            )
            checked = kind.validate_python(value)
        except ValidationError as error:
            raise ParameterError(_message(error, f"{where}.{name}")) from None
        return checked

    @classmethod
    def rules(cls) -> dict[str, Callable[..., str]]:
        """Return the rules across parameters, own and inherited, by the method's name."""
        return {
            name: member
            for base in reversed(cls.__mro__)
            for name, member in vars(base).items()
            if isinstance(member, FunctionType) and hasattr(member, "reads_inputs")
        }

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ParameterError(f"{name} is too large; an integer is at most {LARGEST}")
        for method in self.rules().values():
            if not method.reads_inputs:  # type: ignore[attr-defined]
                self._check(method)
        return self

    def check_inputs(self, present: Collection[str], *, where: str) -> None:
        """Check the rules that also depend on which inputs of the stage are there.

        Raises:
            ParameterError: For the first rule that is broken.
        """
        try:
            for method in self.rules().values():
                if method.reads_inputs:  # type: ignore[attr-defined]
                    self._check(method, present)
        except ParameterError as error:
            raise ParameterError(f"{where}.{error}") from None

    def _check(self, method: Callable[..., str], *present: Collection[str]) -> None:
        allowed = method(self, *present)
        if allowed:
            name = method.parameter  # type: ignore[attr-defined]
            raise ParameterError(f"{name} is {shown(getattr(self, name))}; {allowed}")

    def method_values(self) -> dict[str, Scalar]:
        """Return the values that can change rows, by name (the journal's key uses them)."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if declared(field)["method"]
        }

    def content(self) -> list[Content]:
        """Return what the values name, in the order of declaration; empty values name nothing."""
        return [
            content
            for name, field in type(self).model_fields.items()
            if declared(field)["names"] and getattr(self, name)
            for content in self._named(name, declared(field))
        ]

    def _named(self, name: str, about: dict[str, Any]) -> list[Content]:
        kind: ContentKind = about["names"]
        if about["opened_by"]:
            kind = BY_ENGINE[getattr(self, about["opened_by"])]
        digest = str(getattr(self, about["digest"], ""))
        value = str(getattr(self, name))
        if kind == "code":
            return [Content(name, kind, part) for part in listed(value) if ":" in part]
        if kind == "harness":
            return [Content(name, kind, part) for part in listed(value)]
        return [Content(name, kind, value, digest)]


def declared(field: FieldInfo) -> dict[str, Any]:
    """Return the metadata that :func:`param` adds to pydantic's: source, method, and so on."""
    assert isinstance(field.json_schema_extra, dict)  # noqa: S101  param() makes every field
    return field.json_schema_extra


def words(value: Scalar) -> str:
    """Return a value as a command line takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def listed(text: str) -> list[str]:
    """Return the items of a comma-separated list."""
    return [item.strip() for item in text.split(",") if item.strip()]


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... (cut)"


def _message(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    name = prefix + ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{name} is required; it has no default"
    allowed = first["msg"].replace("Input should be", "it must be", 1)
    return f"{name} is {shown(first['input'])}; {allowed}"


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
