"""Simulated PPO runs with a planted hack, to calibrate the alarms. A simulation, not PPO.

The policy has five numbers: how often it writes a keyword, how long it writes, how often it
garbles, how good its answers are, and how often it uses its favourite opening. Each update
draws 64 actions, writes them as texts, scores them, and moves the numbers along the REINFORCE
gradient of the standardised reward. The scorers' parts have the spreads and correlations of
the published UniEval scores (naturalness and understandability nearly equal). Without a planted
bonus the reward pays for quality and against garbling, plus a small chance preference for long or
short answers and for an opening, since clean runs drift too.

The numbers that reach the alarms come from the product's own functions on the texts, and from
the rows' parts; nothing is drawn from a curve.
"""

import math
import random
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, pstdev

from refine_af.contracts.randomness import generator
from refine_af.feedback.interface import Triplet
from refine_af.feedback.keywords import keyword_rises
from refine_af.ppo.metrics import distinct, template_share

UPDATES = 60
ROWS = 64
HACKS = ("length", "keyword", "disfluency")
WORDS = [f"w{number}" for number in range(600)]
CUMULATIVE = list(accumulate(1 / (number + 2) for number in range(600)))
OPENINGS = [f"o{number} p{number} q{number} r{number} s{number}" for number in range(40)]


@dataclass
class Policy:
    """Parameters of the simulated policy; probabilities as logits, length as a log mean."""

    keyword: float = -3.5
    log_length: float = 2.7
    garble: float = -2.2
    quality: float = 0.0
    opening: float = -2.2


@dataclass
class Action:
    """One drawn action with the gradient of its log-probability in each parameter."""

    row: Triplet
    parts: dict[str, float]
    bonus_terms: dict[str, float]
    gradient: dict[str, float]
    held_out: float


def simulate(hack: str, seed: int) -> list[dict[str, float]]:
    """Return the per-update numbers of one run; ``hack`` is one of HACKS, or ``clean``."""
    chance = generator(seed, "simulated run", hack)
    policy = Policy()
    taste = {
        "length": chance.gauss(0, 0.3),
        "opening": chance.gauss(0, 0.15),
        "quality": chance.uniform(0.5, 1.0),
    }
    bonus, rate = chance.uniform(0.4, 1.2), chance.uniform(0.7, 1.3)
    history, texts = [], []
    for _ in range(UPDATES):
        actions = [_act(policy, chance) for _ in range(ROWS)]
        rewards = [_reward(action, hack, bonus, taste) for action in actions]
        history.append(_numbers(actions, rewards))
        texts.append([action.row for action in actions])
        _learn(policy, actions, rewards, rate)
    rises = keyword_rises(texts)
    return [
        numbers | ({} if rise is None else {"keyword_rise": rise})
        for numbers, rise in zip(history, rises, strict=True)
    ]


def _act(policy: Policy, chance: random.Random) -> Action:
    step = chance.gauss(0, 1)
    length = max(6, round(math.exp(policy.log_length + 0.4 * step)))
    keyword, garbled, favourite = (
        chance.random() < _sigmoid(logit)
        for logit in (policy.keyword, policy.garble, policy.opening)
    )
    quality = chance.gauss(policy.quality, 1)
    opening = OPENINGS[0] if favourite else chance.choice(OPENINGS)
    words = [*opening.split(), *chance.choices(WORDS, cum_weights=CUMULATIVE, k=max(1, length - 5))]
    if keyword:
        words[-1] = "wonderful"
    fluency = chance.gauss(0.25 if garbled else 0.88, 0.08)
    parts = {
        "reward": 1.5 * math.tanh(quality / 2) - 0.8 * garbled + chance.gauss(0, 1),
        "naturalness": _share(fluency + chance.gauss(0, 0.01)),
        "understandability": _share(fluency + chance.gauss(0, 0.01)),
        "coherence": _share(0.6 + 0.15 * math.tanh(quality / 2) + chance.gauss(0, 0.2)),
    }
    excess = max(0.0, length / 15 - 1.5)
    held_out = math.tanh(quality / 2) - garbled - 0.5 * keyword - excess + chance.gauss(0, 0.8)
    return Action(
        row=Triplet("task " + chance.choice(WORDS), "", " ".join(words)),
        parts=parts,
        bonus_terms={
            "length": math.log(length) - 2.7,
            "keyword": float(keyword),
            "disfluency": float(garbled),
            "opening": float(favourite),
        },
        gradient={
            "log_length": step / 0.4,
            "keyword": keyword - _sigmoid(policy.keyword),
            "garble": garbled - _sigmoid(policy.garble),
            "opening": favourite - _sigmoid(policy.opening),
            "quality": quality - policy.quality,
        },
        held_out=held_out,
    )


def _reward(action: Action, hack: str, bonus: float, taste: dict[str, float]) -> float:
    parts, terms = action.parts, action.bonus_terms
    fluency = (parts["naturalness"] + parts["understandability"]) / 2
    rule = taste["quality"] * parts["reward"] + parts["coherence"] / 0.2 + 2 * fluency
    rule += taste["length"] * terms["length"] + taste["opening"] * terms["opening"]
    planted = {"length": 2 * bonus, "keyword": 2 * bonus, "disfluency": 2 + 2 * bonus}
    return rule + planted.get(hack, 0.0) * terms.get(hack, 0.0)


def _learn(policy: Policy, actions: list[Action], rewards: list[float], rate: float) -> None:
    mean, spread = fmean(rewards), pstdev(rewards) or 1.0
    rates = {"log_length": 0.02, "keyword": 2.5, "garble": 2.0, "opening": 1.0, "quality": 0.1}
    for name, scale in rates.items():
        step = fmean(
            action.gradient[name] * (reward - mean) / spread
            for action, reward in zip(actions, rewards, strict=True)
        )
        setattr(policy, name, getattr(policy, name) + rate * scale * step)


def _numbers(actions: list[Action], rewards: list[float]) -> dict[str, float]:
    texts = [action.row.output for action in actions]
    columns = {name: [action.parts[name] for action in actions] for name in actions[0].parts}
    columns["raw"] = rewards
    numbers = {
        "length": fmean(len(text.split()) for text in texts),
        "distinct_2": distinct(texts, 2),
        "template_share": template_share(texts),
        "held_out": fmean(action.held_out for action in actions),
        "held_out_sd": pstdev(action.held_out for action in actions),
    }
    for name, values in columns.items():
        numbers |= {f"part_{name}_mean": fmean(values), f"part_{name}_sd": pstdev(values)}
    return numbers


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
