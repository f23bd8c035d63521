"""The textual operations: read from a data file, checked before anything runs, named by digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.params import listed
from refine_af.storage.sources import fetch_source

if TYPE_CHECKING:
    from jinja2 import Environment, Template

PACKAGED = Path(__file__).parent / "operators.yaml"
BUILTIN = "builtin:operators"
STOP = "stop"
"""The choice to leave an instruction as it is; behind the operators of the file."""

TEMPLATES = Path(__file__).parent / "templates"
PLACEHOLDERS = ("ask", "examples", "input", "instruction", "operation")
KEYS = {"name": str, "ask": str, "keeps_input": bool}

Style = Literal["plain", "instruct"]
RewriteStyle = Literal["plain", "instruct", "few_shot"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operation.

    Attributes:
        name: Its name in rows, mixes and tables.
        ask: What the rewriter is asked for.
        keeps_input: Whether the old input still fits the new instruction.
        examples: Worked rewrites, (before, after), which the style ``few_shot`` shows.
    """

    name: str
    ask: str
    keeps_input: bool
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Operators:
    """The operations of one file.

    Attributes:
        operators: In the order of the file, which is the order of the policy's choices.
        forbidden: Words that show that a rewrite repeats its prompt; lower case.
        templates: By style.
        digest: First 16 hex digits of the SHA-256 of the file's content.
    """

    operators: tuple[Operator, ...]
    forbidden: tuple[str, ...]
    templates: "Mapping[str, Template]"
    digest: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the operators' names."""
        return tuple(operator.name for operator in self.operators)

    def copied(self, style: RewriteStyle) -> tuple[str, ...]:
        """Return texts that show that a rewrite repeats its prompt; lower case."""
        pairs = [pair for operator in self.operators for pair in operator.examples]
        texts = tuple(text.casefold() for pair in pairs for text in pair)
        return self.forbidden + (texts if style == "few_shot" else ())

    def refuse_style(self, style: RewriteStyle, name: str) -> None:
        """Raise :class:`DataError` where the file called ``name`` cannot ask in a style."""
        if style not in self.templates:
            raise DataError(f"{name}: prompts has no {style!r}, which parameter style asks for")
        bare = [operator.name for operator in self.operators if not operator.examples]
        if style == "few_shot" and bare:
            raise DataError(
                f"{name}: operator {bare[0]!r} has no examples; the style few_shot shows them:"
                " give each operator a list of {before, after}, or choose the style instruct"
            )

    def prompt(self, style: RewriteStyle, operator: int, instruction: str, given: str) -> str:
        """Return the request to rewrite ``instruction``, whose input is ``given``.

        ``operator`` is the number of the operation in the file.
        """
        chosen = self.operators[operator]
        values = {
            "operation": chosen.name,
            "ask": chosen.ask,
            "instruction": instruction,
            "input": given,
            "examples": chosen.examples,
        }
        return self.templates[style].render(**values)


def load_operators(path: Path = PACKAGED, name: str = "") -> Operators:
    """Return the operators of a file.

    Args:
        path: YAML; ``operators.yaml`` beside this module is the packaged one and says its form.
        name: What to call the file in messages.

    Raises:
        DataError: With file and line, for another form, an unknown placeholder, or a broken
            template.
    """
    name = name or str(path)
    try:
        raw = path.read_text(encoding="utf-8")
        root = yaml.compose(raw, Loader=yaml.SafeLoader)
        content = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: not YAML ({' '.join(str(error).split())})") from None
    lines = _lines(root) if isinstance(root, yaml.MappingNode) else {}
    wanted = {"forbidden", "operators", "prompts"}
    if not isinstance(content, dict) or set(content) != wanted:
        raise DataError(f"{name}:1: it must hold exactly the keys {', '.join(sorted(wanted))}")
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return Operators(
        operators=_operators(content["operators"], name, lines),
        forbidden=_forbidden(content["forbidden"], name, lines),
        templates=_templates(content["prompts"], name, lines),
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def open_operators(uri: str, scratch: Path) -> Operators:
    """Return the operators of ``builtin:operators``, a file or a URI; see :func:`load_operators`.

    Args:
        uri: What ``operators_uri`` says; messages name it.
        scratch: Folder for a copy of a remote file.
    """
    if uri == BUILTIN:
        return load_operators(PACKAGED, BUILTIN)
    return load_operators(Path(fetch_source(uri, scratch)), uri)


def render(name: str, **values: object) -> str:
    """Return a template of ``templates/`` filled with ``values``."""
    return _packaged(name).render(**values)


@cache
def _environment() -> "Environment":
    from refine_af.contracts.templates import sandbox  # loads Jinja2, which a parameter does not

    return sandbox().overlay(trim_blocks=True, lstrip_blocks=True)


@cache
def _packaged(name: str) -> "Template":
    text = (TEMPLATES / f"{name}.j2").read_text(encoding="utf-8")
    return _environment().from_string(text)


def _lines(root: yaml.MappingNode) -> dict[str, int]:
    """Return the line of every entry two levels deep, by ``key`` and ``key.index``."""
    lines: dict[str, int] = {}
    for key, value in root.value:
        lines[key.value] = value.start_mark.line + 1
        if isinstance(value, yaml.SequenceNode):
            for index, item in enumerate(value.value):
                lines[f"{key.value}.{index}"] = item.start_mark.line + 1
                for inner, text in item.value if isinstance(item, yaml.MappingNode) else ():
                    lines[f"{key.value}.{index}.{inner.value}"] = text.start_mark.line + 1
        elif isinstance(value, yaml.MappingNode):
            for inner, item in value.value:
                # the text of a block begins on the line after its mark
                block = item.style in ("|", ">") if isinstance(item, yaml.ScalarNode) else False
                lines[f"{key.value}.{inner.value}"] = item.start_mark.line + 1 + block
                # in other styles than "|" the lines of the text are not lines of the file
                lines[f"{key.value}.{inner.value}.lines"] = int(getattr(item, "style", "") == "|")
    return lines


def _operators(value: Any, name: str, lines: dict[str, int]) -> tuple[Operator, ...]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) < 2:
        raise DataError(f"{name}:{lines['operators']}: operators must list at least two")
    operators: list[Operator] = []
    for index, item in enumerate(value):
        where = f"{name}:{lines[f'operators.{index}']}"
        if not isinstance(item, dict) or set(item) - {"examples"} != set(KEYS):
            raise DataError(
                f"{where}: an operator has the keys {', '.join(KEYS)}, and examples if it likes"
            )
        for key, kind in KEYS.items():
            if not isinstance(item[key], kind) or item[key] == "":
                raise DataError(f"{where}: {key} is {item[key]!r}; it must be {kind.__name__}")
        if "{{" in item["ask"] or "{%" in item["ask"]:
            raise DataError(
                f"{name}:{lines[f'operators.{index}.ask']}: ask must be plain text; write"
                " placeholders into prompts, where 'ask' is a placeholder"
            )
        if item["name"] == STOP or item["name"] in [operator.name for operator in operators]:
            raise DataError(f"{where}: the name {item['name']!r} is taken; give another")
        examples = _examples(item.get("examples", []), where)
        operators.append(Operator(**{key: item[key] for key in KEYS}, examples=examples))
    return tuple(operators)


def _examples(value: Any, where: str) -> tuple[tuple[str, str], ...]:  # noqa: ANN401
    keys = ("before", "after")
    good = isinstance(value, list) and all(
        isinstance(item, dict)
        and set(item) == set(keys)
        and all(isinstance(text, str) and text.strip() for text in item.values())
        for item in value
    )
    if not good:
        raise DataError(f"{where}: examples must be a list of {{before: text, after: text}}")
    return tuple((item["before"], item["after"]) for item in value)


def _forbidden(value: Any, name: str, lines: dict[str, int]) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise DataError(
            f"{name}:{lines['forbidden']}: forbidden must be a list of non-empty strings"
        )
    return tuple(word.casefold() for word in value)


def _templates(value: Any, name: str, lines: dict[str, int]) -> "dict[str, Template]":  # noqa: ANN401
    needed = {"instruct", "plain"}
    if not isinstance(value, dict) or set(value) - {"few_shot"} != needed:
        raise DataError(
            f"{name}:{lines['prompts']}: prompts needs instruct and plain, and may have few_shot"
        )
    return {
        style: _template(
            str(value[style]), name, lines[f"prompts.{style}"], lines[f"prompts.{style}.lines"]
        )
        for style in sorted(value)
    }


def _template(text: str, name: str, first: int, lines: int) -> "Template":
    """Compile a prompt; ``lines`` is 1 where each of its lines is one of the file, else 0."""
    from jinja2 import TemplateSyntaxError, meta, nodes

    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError as error:
        where = f"{name}:{first + lines * (error.lineno - 1)}"
        raise DataError(f"{where}: not a template ({error.message})") from None
    used = [node for node in tree.find_all(nodes.Name) if node.ctx == "load"]
    free = meta.find_undeclared_variables(tree)  # not those that a loop or a set names
    for node in used:
        if node.name in free and node.name not in PLACEHOLDERS:
            where = f"{name}:{first + lines * (node.lineno - 1)}"
            raise DataError(
                f"{where}: placeholder {node.name!r} does not exist;"
                f" allowed: {', '.join(PLACEHOLDERS)}"
            )
    if "instruction" not in [node.name for node in used]:
        raise DataError(f"{name}:{first}: the prompt lacks the placeholder 'instruction'")
    return _environment().from_string(text)


def parse_mix(text: str, names: Sequence[str]) -> tuple[float, ...]:
    """Return the shares of ``name=weight, name=weight``; operators not named get zero.

    Raises:
        ParameterError: For an unknown name, or as :func:`read_mix`.
    """
    weights = read_mix(text)
    for name in weights:
        if name not in names:
            raise ParameterError(
                f"mix is {text!r}; unknown operator {name!r};{nearest(name, list(names))}"
                f" choose from: {', '.join(names)}"
            )
    total = sum(weights.values())
    return tuple(weights.get(name, 0.0) / total for name in names)


def read_mix(text: str) -> dict[str, float]:
    """Return the weights of ``name=weight, name=weight``.

    Raises:
        ParameterError: For another form, a weight below zero, or nothing above zero.
    """
    weights: dict[str, float] = {}
    for part in listed(text):
        name, _, raw = (item.strip() for item in part.partition("="))
        try:
            weights[name] = float(raw)
        except ValueError:
            raise ParameterError(f"mix is {text!r}; {part!r} must be name=weight") from None
        if not 0 <= weights[name] < float("inf"):
            raise ParameterError(f"mix is {text!r}; {part!r} must have a weight of 0 or more")
    if not sum(weights.values()) > 0:
        raise ParameterError(f"mix is {text!r}; give at least one operator a weight above 0")
    return weights
