"""The loop of PPO: act, score, read, estimate advantages, improve; kept across kills.

Algorithm: Schulman et al. 2017 (arXiv 1707.06347), algorithm 1, on text as in Ziegler et al. 2019
(arXiv 1909.08593) and Stiennon et al. 2020: an episode is one action text, a step is a token.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from refine_af.contracts.errors import DataError
from refine_af.contracts.stage import Journal, Progress
from refine_af.engines.memory import RowsAtOnce
from refine_af.engines.stopping import read_answer
from refine_af.ppo import checkpoint
from refine_af.ppo.checkpoint import State
from refine_af.ppo.episodes import Episode, Prompt, Reward, Stateful, check_prompts, score
from refine_af.ppo.experience import experience, forward_outputs
from refine_af.ppo.kl import next_coefficient
from refine_af.ppo.metrics import describe
from refine_af.ppo.params import PPOParams
from refine_af.ppo.passes import microbatch_rows
from refine_af.ppo.policy import Policy
from refine_af.ppo.result import (
    SAMPLES,
    EpisodeRow,
    OnUpdate,
    PPOResult,
    dump_rows,
    episode_rows,
    load_rows,
)
from refine_af.ppo.rewards import against_siblings, episode_scores
from refine_af.ppo.rollout import Action, RolloutEngine, encode_prompts
from refine_af.ppo.schedule import prompts_of
from refine_af.ppo.sharding import gathered, shard
from refine_af.ppo.trained_model import save_trained
from refine_af.ppo.update import improve, make_optimizer, rehearse
from refine_af.processes.group import ALONE, Processes


def train(
    policy: Policy,
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    prompts: Sequence[Prompt],
    reward: Reward,
    settings: PPOParams,
    *,
    journal: Journal,
    progress: Progress,
    rollout: RolloutEngine,
    output: Path,
    on_update: OnUpdate | None = None,
    processes: Processes = ALONE,
) -> PPOResult:
    """Train the policy in place and save it to ``output``.

    A run that was killed goes on from its last checkpoint and ends with the same weights and
    metrics, bit for bit on a CPU in float32 with the same number of threads.

    Args:
        policy: The start model: its weights are the reference, and a checkpoint overwrites them.
        tokenizer: Of the policy.
        prompts: States, at least one; see :func:`refine_af.ppo.schedule.prompts_of`.
        reward: Scores each update's episodes; it may be :class:`Stateful`.
        settings: Of the run.
        journal: Keeps checkpoints and the rows of each update's episodes.
        progress: Reports each update.
        rollout: Draws the actions.
        output: A directory for the trained model.
        on_update: Called with each update in order, also with those before a kill.
        processes: The ranks that share the work, see :mod:`refine_af.processes.group`. Each calls
            this function with the same arguments and its own copy of the model; only rank 0 uses
            journal, output and reports.

    Raises:
        ParameterError: For an empty prompt set, a prompt too long for the model, or steps that the
            ranks cannot share evenly.
        DataError: When the reward is not usable or a number is not finite; nothing was trained
            on that update, and the checkpoint before it stays.
        JournalMismatchError: When the journal holds a checkpoint of another run.
    """
    check_prompts(prompts)
    settings.check_shares(processes.count)
    run = _Run(policy, tokenizer, prompts, reward, settings, journal, progress, rollout, processes)
    state = run.start()
    for done in range(1, state.update + 1):
        run.call_back(on_update, state, done)
    while state.update < settings.updates and not state.stopped:
        run.advance(state)
        run.call_back(on_update, state, state.update)
    save_trained(policy, tokenizer, output, main=processes.main)
    samples = run.samples(state) if processes.main else []
    return PPOResult(state.metrics, samples, output, state.stopped, run.telemetry)


@dataclass
class _Run:
    """What stays the same through a run, and its optimizer."""

    policy: Policy
    tokenizer: Any
    prompts: Sequence[Prompt]
    reward: Reward
    settings: PPOParams
    journal: Journal
    progress: Progress
    rollout: RolloutEngine
    processes: Processes
    telemetry: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.passes: RowsAtOnce = microbatch_rows(self.settings)
        longest = getattr(self.policy.config, "max_position_embeddings", None)
        rows = encode_prompts(self.tokenizer, self.prompts, longest, self.settings)
        self.encoded = {prompt.id: row for prompt, row in zip(self.prompts, rows, strict=True)}

    def start(self) -> State:
        """Prepare the policy, restore the last checkpoint, and return where the run stands."""
        rows, settings = list(self.encoded.values()), self.settings
        self.policy.prepare(settings.microbatch * (max(map(len, rows)) + settings.max_new_tokens))
        state = self._restore()
        if self.policy.device.type == "cuda":
            rehearse(self.policy, rows, settings, self.passes)
        return state

    def _restore(self) -> State:
        """Load the last checkpoint and return its state, or return that of a new run."""
        self.identity = checkpoint.identify(self.policy, self.prompts, self.settings)
        if self.settings.sharded and not self.policy.sharded:
            shard(self.policy, self.processes)
        self.optimizer = make_optimizer(self.policy, self.settings)
        state = checkpoint.restore(
            self.journal, self.policy, self.optimizer, self.identity, self.progress, self.processes
        )
        if state is None:
            return State(update=0, kl_coefficient=self.settings.kl_coefficient)
        if state.update > self.settings.updates:
            raise DataError(
                f"the journal has {state.update} updates, more than the {self.settings.updates}"
                " asked for; use another work directory or raise updates"
            )
        if state.reward is not None and isinstance(self.reward, Stateful):
            self.reward.set_state(state.reward)
        self.progress.say(f"continuing after update {state.update}")
        return state

    def advance(self, state: State) -> None:
        """Do one update and keep it: the rows of its episodes, then the checkpoint."""
        settings, update = self.settings, state.update + 1
        chosen, seeds = prompts_of(self.prompts, update, settings)
        states = [self.encoded[prompt.id] for prompt in chosen]
        with self._timed("rollout_seconds"):
            actions = self._act(states, seeds)
        episodes = self._episodes(chosen, actions)
        with self._timed("score_seconds"):
            feedback = score(self.reward, episodes, update)
        with self._timed("read_seconds"):
            outputs = forward_outputs(
                self.policy, states, actions, update, settings, self.processes, self.passes
            )
        scores = against_siblings(
            episode_scores(feedback, actions, settings.truncation_penalty),
            settings.episodes_per_prompt,
        )
        known = experience(states, actions, outputs, scores, state.kl_coefficient, settings)
        _refuse_not_finite(known.advantages, update)
        row = {"update": float(update), "kl_coefficient": state.kl_coefficient}
        row |= describe(episodes, feedback, known)
        with self._timed("improve_seconds"):
            row |= improve(
                self.policy, self.optimizer, known, update, settings, self.processes, self.passes
            )
        row["microbatch"] = float(self.passes.count)
        self._count("tokens", sum(len(action.tokens) for action in actions))
        self._step(state, row)
        self._keep(state, episode_rows(update, episodes, feedback, known, seeds))
        if self.processes.main:
            self._report(row, state)

    def _episodes(self, prompts: Sequence[Prompt], actions: Sequence[Action]) -> list[Episode]:
        stop = self.settings.stop
        return [
            Episode(
                prompt_id=prompt.id,
                prompt=prompt.text,
                action=read_answer(
                    self.tokenizer, self.encoded[prompt.id], action.tokens, stop
                ).text,
                finish=action.finish,
            )
            for prompt, action in zip(prompts, actions, strict=True)
        ]

    def _step(self, state: State, row: dict[str, float]) -> None:
        """Put the numbers of an update into the state, with the next one's coefficient."""
        settings = self.settings
        state.update += 1
        state.metrics.append(row)
        state.kl_coefficient = next_coefficient(
            state.kl_coefficient, row["kl"], settings.kl_target, settings.kl_rate
        )
        state.reward = self.reward.get_state() if isinstance(self.reward, Stateful) else None
        if row["kl"] > settings.max_kl:
            state.stopped = (
                f"KL {row['kl']:.3g} nats per episode in update {state.update} exceeds max_kl"
                f" {settings.max_kl:g}"
            )

    def _act(self, states: Sequence[list[int]], seeds: Sequence[int]) -> list[Action]:
        """Return one action per state; each process acts in its share of them."""
        mine = self.processes.share(range(len(states)))
        with gathered(self.policy):
            drawn = self.rollout.act(
                self.policy, [states[row] for row in mine], [seeds[row] for row in mine]
            )
        actions = self.processes.gathered(dict(zip(mine, drawn, strict=True)))
        return [actions[row] for row in range(len(states))]

    def _keep(self, state: State, rows: Sequence[EpisodeRow]) -> None:
        if self.processes.main:
            self.journal.publish(_episodes_name(state.update), dump_rows(rows))
        last = state.update == self.settings.updates or state.stopped
        if last or state.update % self.settings.checkpoint_every == 0:
            with self._timed("checkpoint_seconds"):
                checkpoint.save(
                    self.journal,
                    self.policy,
                    self.optimizer,
                    state,
                    self.identity,
                    self.processes,
                )

    def _report(self, row: dict[str, float], state: State) -> None:
        shown = {name: row[name] for name in ("reward_mean", "kl", "entropy", "parseable")}
        self.progress.step(state.update, self.settings.updates, "updates", **shown)
        if state.update == 1 and self.policy.packs is False:
            self.progress.say(
                "this model reads a beginning that prompts share otherwise when it is read once, so"
                " every prompt is read whole"
            )
        if state.stopped:
            self.progress.say(f"stopped: {state.stopped}")

    def call_back(self, on_update: OnUpdate | None, state: State, update: int) -> None:
        """Call ``on_update`` with an update's metrics and episodes, as the journal has them."""
        if on_update is not None and self.processes.main:
            on_update(state.metrics[update - 1], self._rows(update))

    def samples(self, state: State) -> list[EpisodeRow]:
        """Return the first episodes of the first, middle and last update done."""
        updates = sorted({1, (state.update + 1) // 2, state.update})
        return [row for update in updates for row in self._rows(update)[:SAMPLES]]

    def _rows(self, update: int) -> list[EpisodeRow]:
        data = self.journal.read(_episodes_name(update))
        if data is None:
            raise DataError(
                f"the journal has lost the episodes of update {update}; clear the work directory"
                " and start again"
            )
        return load_rows(data)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._count(name, time.perf_counter() - started)

    def _count(self, name: str, amount: float) -> None:
        self.telemetry[name] = self.telemetry.get(name, 0.0) + amount


def _episodes_name(update: int) -> str:
    return f"episodes-{update:06d}.jsonl"


def _refuse_not_finite(advantages: torch.Tensor, update: int) -> None:
    if not torch.isfinite(advantages).all():
        raise DataError(
            f"update {update}: an advantage is not finite, so nothing was trained on it; the"
            " policy's probabilities or values have overflowed: lower learning_rate, or load the"
            " model in float32"
        )
