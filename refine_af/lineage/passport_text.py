"""A passport as short lines of text, with every control character of a row escaped."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from refine_af.contracts.progress import printable

LONGEST = 400
"""Characters of a text that are shown; the JSON form holds all."""

Facts = Mapping[str, Any]


def passport_lines(facts: Facts) -> list[str]:
    """Return the lines of a passport."""
    lines = [f"{facts['id']}  in {facts['run']}"]
    for chapter in facts["history"]:
        lines += ["", *_chapter(chapter)]
    lines += ["", f"seeds: {len(facts['seeds'])} in its ancestry"]
    lines += [f"  {seed['seed_id']}  {seed['licence']}  {seed['name']}" for seed in facts["seeds"]]
    lines += _section("shown in its prompt", (_brief(parent) for parent in facts["parents"]))
    lines += _section("reward", map(_reward, facts["reward"]))
    lines += _section("PPO episodes on its instruction", map(_episode, facts["ppo"]))
    lines += _section("fine-tuning", map(_training, facts["sft"]))
    lines += _section("nearest evaluation rows", map(_evaluation, facts["evaluation"]))
    lines += _section("made from it alone", map(_made, facts["made_from_it"]))
    return [printable(line) for line in lines]


def _section(title: str, lines: Iterator[str]) -> list[str]:
    indented = [f"  {line}" for line in lines]
    return [f"{title}:", *indented] if indented else []


def _chapter(chapter: Facts) -> Iterator[str]:
    row = chapter["row"]
    yield f"{chapter['id']}  first in {chapter['first_in']}"
    for name in ("instruction", "input", "output", "text", "reason"):
        if row.get(name):
            yield f"  {name}: {_short(row[name])}"
    for writing in chapter["writing"]:
        yield from _writing(writing)
    for verdict in chapter["verdicts"]:
        yield f"  {_verdict(verdict)}"


def _writing(writing: Facts) -> Iterator[str]:
    model = f"{writing.get('model')} ({str(writing.get('model_digest'))[:16]})"
    adapter = f", adapter {writing['adapter_digest'][:16]}" if writing["adapter_digest"] else ""
    yield f"  written in {writing['task']} by {writing.get('engine')}, {model}{adapter}"
    if operation := writing.get("operation"):
        yield (
            f"    operator {operation['operator']}, log-probability {operation['log_prob']:.4g},"
            f" reward {operation['reward']:.4g}, {_review(operation)}"
        )
        yield f"    answer: {_short(operation['text'])}"
    call = writing["call"]
    if call is None:
        return
    sampling = ", ".join(f"{key} {value}" for key, value in call["sampling"].items() if value != [])
    yield f"    prompt sha256 {call['prompt_digest']}"
    yield f"    seed {call['seed']}, {sampling}"
    if call.get("thinking"):
        yield f"    thinking: {_short(call['thinking'])}"
    yield f"    answer ({call['finish']}, {call['tokens']} tokens): {_short(call['text'])}"


def _review(operation: Facts) -> str:
    if operation["changed"] is None:
        return "reviewer not asked"
    answers = f" {', '.join(operation['labels'])}:" if operation.get("labels") else ""
    return f"reviewer{answers} {operation['changed']:.4g}"


def _verdict(verdict: Facts) -> str:
    text = f"{verdict['task']}: {verdict['verdict']}"
    if verdict["verdict"] == "dropped":
        text += f", {verdict['reason']}"
        text += f", score {verdict['score']:.4g}" if verdict["score"] is not None else ""
        text += f", {_short(verdict['detail'])}" if verdict["detail"] else ""
    near = verdict.get("neighbour") or verdict.get("nearest")
    if near:
        score = f" at {near['score']:.4g}" if "score" in near else ""
        text += f"; nearest {near['id']}{score}: {_short(near['text'] or 'a known text')}"
    return text


def _brief(row: Facts) -> str:
    return f"{row['id']}  {_short(row['text'] or '')}"


def _reward(facts: Facts) -> str:
    parts = ", ".join(f"{name} {value:.4g}" for name, value in facts["parts"].items())
    return f"{facts['task']}: {facts['total']:.4g} ({facts['preset']}: {parts})"


def _episode(facts: Facts) -> str:
    return (
        f"update {facts['update']}, episode {facts['place']}: advantage {facts['advantage']:+.4g},"
        f" reward {facts['total']:.4g}, KL {facts['kl']:.3g}, {facts['tokens']} tokens,"
        f" {facts['finish']}"
    )


def _training(facts: Facts) -> str:
    seen = "trained on" if facts["trained_on"] else f"left out, {facts['reason']}"
    adapter = f", adapter {facts['adapter_digest'][:16]}" if facts["adapter_digest"] else ""
    return f"{facts['task']}: {seen}, {facts['tokens']} tokens, {facts.get('model')}{adapter}"


def _evaluation(facts: Facts) -> str:
    return (
        f"{facts['task']} / {facts['instance']} at {facts['score']:.4g}: {_short(facts['input'])}"
    )


def _made(facts: Facts) -> str:
    more = " ..." if facts["rows"] > len(facts["ids"]) else ""
    return f"{facts['artifact']}: {facts['rows']} ({', '.join(facts['ids'])}{more})"


def _short(text: object) -> str:
    spelled = json.dumps(str(text), ensure_ascii=False)
    return spelled if len(spelled) <= LONGEST else f"{spelled[:LONGEST]}..."
