"""Chat templates of untrusted models end, and do not fill the memory."""

import resource
import time

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from refine_af.contracts.errors import DataError
from refine_af.engines import chat_templates
from refine_af.engines.chat_templates import check_chat_template
from refine_af.engines.control_tokens import TextEncoder, Turn
from refine_af.engines.models import resolve_model


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(resolve_model("builtin:tiny"))
    return loaded


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
BOMBS = [
    "{{ 9 ** 9 ** 9 }}",
    "{{ 'x' * 1000 * 1000 * 1000 }}",
    "{{ 'x' * 99999999 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (messages|length * 900000, 1) }}",
    "{{ '%0.99999999f' % 1 }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 999999) }}",
    "{{ '{0:>{1}}'.format(1, 999999) }}",
    "{{ ('%' ~ '9' * 9 ~ 'd') % n }}",
    "{{ ('{:>' ~ '9' * 9 ~ '}').format(1) }}",
    "{{ ('%' + '9' * 9 + 'd')|format(1) }}",
    "{% set wide = '%999999999d' %}{{ wide % 1 }}",
    "{{ 'x'.ljust(999999999) }}",
    "{{ 'x'|center(999999999) }}",
    "{{ strftime_now('%999999999d') }}",
    "{{ lipsum(n=99999999) }}",
    "{% set space = namespace(x='doubled below') %}"
    "{% for i in range(99) %}{% set space.x = space.x ~ space.x %}{% endfor %}",
    "{% if messages|length > 2 %}{% set space = namespace(x=[1] * 99) %}"
    "{% for i in range(99) %}{% set space.x = space.x + space.x %}{% endfor %}{% endif %}",
    "(" * 3 + "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{# " + "x" * 2_000_000 + " #}",
]


@pytest.mark.parametrize("text", BOMBS)
@pytest.mark.parametrize("around", ["{}", "{{% generation %}}{}{{% endgeneration %}}"])
def test_a_template_that_fills_the_memory_is_refused(
    text: str, around: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    tokenizer.chat_template = around.format(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"its chat template .*set chat to no"):
        check_chat_template(tokenizer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 6_000_000  # KiB


def test_a_template_without_an_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerBase
) -> None:
    monkeypatch.setattr(chat_templates, "TEMPLATE_SECONDS", 1.0)
    tokenizer.chat_template = ENDLESS
    started = time.monotonic()
    with pytest.raises(DataError, match="does not write a turn in 1 s"):
        check_chat_template(tokenizer)
    assert time.monotonic() - started < 10.0


GROWING = (
    "{% set space = namespace(x='doubled below') %}"
    "{% for i in range(99) %}{% set space.x = space.x ~ space.x %}{% endfor %}"
)


@pytest.mark.parametrize("bomb", [ENDLESS, GROWING])
@pytest.mark.parametrize(
    "condition",
    ["messages|length > 4", "'river' in messages[-1].content", "messages[0].content|length > 99"],
)
def test_a_template_that_waits_for_a_certain_talk_is_ended(
    condition: str, bomb: str, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerBase
) -> None:
    monkeypatch.setattr(chat_templates, "TEMPLATE_SECONDS", 1.0)
    monkeypatch.setattr(chat_templates, "_TALK", ([{"role": "user", "content": "?"}],))
    tokenizer.chat_template = (
        "{% if " + condition + " %}" + bomb + "{% endif %}{{ messages[0].content }}"
    )
    encoder = TextEncoder(tokenizer)
    plain: list[Turn] = [{"role": "user", "content": "Name a hill."}]
    assert encoder.rendered(plain) == "Name a hill."
    talk: list[Turn] = [{"role": "user", "content": "Name a river. " * 9}] * 5
    started = time.monotonic()
    with pytest.raises(DataError, match=r"does not write a turn in 1 s|takes more than"):
        encoder.rendered(talk)
    assert time.monotonic() - started < 10.0
    assert encoder.rendered(plain) == "Name a hill."


@pytest.mark.parametrize(
    "text",
    [
        "{{ messages[0]['content'] }}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        "{% for m in messages %}{% if loop.index0 % 2 == 0 %}a{% endif %}{% endfor %}",
        "{{ '%s: %s' % (messages[0].role, messages[0].content) }}",
        "{{ '{}: {:>10}'.format(messages[0].role, 'x') }}",
        "{{ strftime_now('%d %b %Y') }}{{ '-' * 40 }}",
        "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{% endfor %}",
        "{{ 'Cutting Knowledge Date: 20231201 {x}' }}",
        "{{ messages|tojson(indent=4) }}",
        "{{ broken",
    ],
)
def test_usual_templates_are_taken(text: str, tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = text
    check_chat_template(tokenizer)
