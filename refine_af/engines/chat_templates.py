"""Refuses chat templates that run away: they come with a model and are programs.

Rules on the text refuse what fills the memory in one operation (powers, widths of a format); what
takes long or grows step by step is ended while it is rendered, at a trial and wherever it is used.
"""

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols

from refine_af.contracts.errors import DataError

if TYPE_CHECKING:
    from jinja2.parser import Parser
    from transformers import PreTrainedTokenizerBase

TEMPLATE_SECONDS = 20.0
"""A chat template writes one turn in milliseconds."""

TEMPLATE_BYTES = 1024**3
"""Bytes by which this process may grow while a template writes a few turns."""

MOST_LETTERS = 1_000_000
MOST_CONSTANT = 1_000_000
"""Largest number in a chat template; a text repeated more often fills the memory."""

_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{5,}|\*)|\{[^{}]*:[^{}]*(?:\d{5,}|\{)")
"""A width of 10,000 and more in a format, or one that is computed."""

_TALK = (
    [{"role": "user", "content": "?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a river."},
        {"role": "assistant", "content": "Rhine."},
        {"role": "user", "content": "Name another one."},
    ],
)


class _Generation(Extension):
    """Reads the blocks by which templates mark what a model writes."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

    def parse(self, parser: "Parser") -> list[nodes.Node]:
        """Return the statements of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check_chat_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a chat template that can fill the memory or does not come to an end.

    Raises:
        DataError: With what it has, or does.
    """
    whole = tokenizer.chat_template
    for text in whole.values() if isinstance(whole, dict) else [whole]:
        if trouble := _trouble(str(text)):
            raise DataError(
                f"{tokenizer.name_or_path}: its chat template {trouble}, which no template needs"
                " and which can fill the memory; correct the template, or set chat to no"
            )
    _try_out(tokenizer)


def _trouble(text: str) -> str:
    if len(text) > MOST_LETTERS:
        return f"has {len(text)} characters, more than {MOST_LETTERS}"
    try:
        # S701: nothing is rendered here
        tree = Environment(autoescape=False, extensions=[_Generation, loopcontrols]).parse(text)  # noqa: S701
        return _trouble_in(tree)
    except RecursionError:
        return "is nested too deeply"
    except TemplateError:
        return ""  # in another dialect, or broken: whoever renders it says so


def _trouble_in(tree: nodes.Template) -> str:
    constants = [node.value for node in tree.find_all(nodes.Const)]
    if any(isinstance(value, int | float) and value > MOST_CONSTANT for value in constants):
        return f"has numbers above {MOST_CONSTANT}"
    if any(isinstance(value, str) and _WIDE.search(value) for value in constants):
        return "formats to a width of 10,000 and more, or to a computed one"
    if any(node.find(nodes.Mul) is not None for node in tree.find_all(nodes.Mul)):
        return "takes products of products"
    if tree.find(nodes.Pow) is not None:
        return "takes powers"
    return "computes a format" if _computes_format(tree) else ""


def _computes_format(tree: nodes.Template) -> bool:
    """Return whether the text of a format, with its widths, is put together by the template."""
    for division in tree.find_all(nodes.Mod):
        made = isinstance(division.left, nodes.Add | nodes.Concat | nodes.Mul | nodes.Filter)
        if made and not isinstance(division.right, nodes.Const):
            return True
    filters = [(item.name, item.node) for item in tree.find_all(nodes.Filter)]
    called = [call.node for call in tree.find_all(nodes.Call)]
    methods = [(used.attr, used.node) for used in called if isinstance(used, nodes.Getattr)]
    return any(
        name in _FORMATS and not isinstance(text, nodes.Const) for name, text in filters + methods
    )


_FORMATS = {"format", "format_map"}


def _try_out(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a template that does not terminate or grows: nested loops need no large file."""
    for turns in _TALK:
        try:
            with bounded_template(tokenizer):
                tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except DataError:
            raise
        except Exception:  # noqa: S112  what refuses this talk fails where it is used
            continue


class _TooMuchError(BaseException):
    """Ends a rendering, whose template and libraries take it for no error of their own."""


@dataclass(slots=True)
class _Rendering:
    """A template at work: in which thread, since when, with how much memory when first seen."""

    thread: int
    started: float
    size: int = 0
    trouble: str = ""
    ended: bool = False


class _Watch:
    """Ends renderings that take long or grow, also where a template waits for a certain talk.

    One thread looks at what is at work; a rendering of milliseconds costs it nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[_Rendering] = []
        self._wake = threading.Event()
        self._process = 0

    def begin(self) -> _Rendering:
        """Watch what the calling thread renders from now on."""
        rendering = _Rendering(threading.get_ident(), time.monotonic())
        with self._lock:
            self._running.append(rendering)
            if self._process != os.getpid():  # a fork leaves the thread behind
                self._process = os.getpid()
                threading.Thread(target=self._keep, name="template-watch", daemon=True).start()
        self._wake.set()
        return rendering

    def end(self, rendering: _Rendering) -> None:
        """Watch it no longer."""
        rendering.ended = True
        with self._lock:
            if rendering.trouble:  # what has not arrived yet must not meet the code behind
                _raise_in(rendering.thread, None)

    def _keep(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                self._running = [one for one in self._running if not one.ended]
                if not self._running:
                    self._wake.clear()
                for rendering in self._running:
                    if not rendering.trouble and (trouble := _trouble_of(rendering)):
                        rendering.trouble = trouble
                        _raise_in(rendering.thread, _TooMuchError)


_LOOK_SECONDS = 0.02
_WATCH = _Watch()


def _trouble_of(rendering: _Rendering) -> str:
    size = _resident_bytes()
    rendering.size = rendering.size or size
    if size - rendering.size > TEMPLATE_BYTES:
        return f"takes more than {TEMPLATE_BYTES} bytes for a turn"
    if time.monotonic() - rendering.started > TEMPLATE_SECONDS:
        return f"does not write a turn in {TEMPLATE_SECONDS:g} s"
    return ""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an error in a thread at its next step of Python; None takes a waiting one back."""
    given = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


@contextmanager
def bounded_template(tokenizer: "PreTrainedTokenizerBase") -> Iterator[None]:
    """Bound what the chat template does inside: a template is a program.

    Raises:
        DataError: It took too long, or too much memory, and was ended.
    """
    rendering = _WATCH.begin()
    try:
        try:
            yield
        finally:
            _WATCH.end(rendering)
    except _TooMuchError:
        pass
    if rendering.trouble:
        raise DataError(
            f"{tokenizer.name_or_path}: its chat template {rendering.trouble}; correct the"
            " template, or set chat to no"
        )


def _resident_bytes() -> int:
    """Return this process's memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0
