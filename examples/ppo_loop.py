"""Train a model by PPO from automated feedback: REFINE-AF, stage 2 (arXiv 2505.06548).

An episode is one instance, input and output, written for an instruction. Nobody labels anything:
the reward is computed from the text. PPO is Schulman et al. 2017 (arXiv 1707.06347).
"""

import sys
from collections.abc import Iterator

from refine_af.contracts.records import Seed
from refine_af.engines.models import load_model
from refine_af.engines.scorers.opening import open_reward
from refine_af.engines.stopping import completion_text, cut
from refine_af.feedback.params import RewardParams
from refine_af.ppo.episodes import Episode, Prompt, score
from refine_af.ppo.experience import experience, forward_outputs
from refine_af.ppo.instance_reward import InstanceReward
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.ppo.rewards import episode_scores
from refine_af.ppo.rollout import encode_prompts
from refine_af.ppo.schedule import prompts_of
from refine_af.ppo.transformers_rollout import TransformersRollout
from refine_af.ppo.update import improve, make_optimizer
from refine_af.self_instruct.instance_form import InstanceForm
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN

FORM = InstanceForm("plain", instances=1)


def ppo(seeds: list[Seed], params: PPOParams) -> Iterator[dict[str, float]]:
    """Run the loop; yield the numbers of each update."""
    texts = {seed.id: seed.instruction for seed in seeds}
    prompts = [Prompt(name, FORM.prompt(text, "input_first")) for name, text in texts.items()]
    model, tokenizer = load_model("builtin:tiny")
    encoded = dict(zip(texts, encode_prompts(tokenizer, prompts, None, params), strict=True))
    rule = open_reward(RewardParams(reward="embedded"))
    reward = InstanceReward(rule, texts, FORM, dict.fromkeys(texts, "input_first"))
    policy = Policy(model, params)
    optimizer = make_optimizer(policy, params)
    actor = TransformersRollout(tokenizer, params)
    for update in range(1, params.updates + 1):
        chosen, draws = prompts_of(prompts, update, params)
        states = [encoded[prompt.id] for prompt in chosen]
        actions = actor.act(policy, states, draws)  # 1. the policy writes instances
        written = [
            cut(completion_text(tokenizer, state, action.tokens), FORM.stop)
            for state, action in zip(states, actions, strict=True)
        ]
        episodes = [
            Episode(prompt.id, prompt.text, text, action.finish)
            for prompt, text, action in zip(chosen, written, actions, strict=True)
        ]
        feedback = score(reward, episodes, update)  # 2. automated feedback
        # 3. log-probabilities, values
        outputs = forward_outputs(policy, states, actions, update, params)
        scores = episode_scores(feedback, actions, params.truncation_penalty)
        known = experience(states, actions, outputs, scores, params.kl_coefficient, params)
        numbers = improve(policy, optimizer, known, update, params)  # 4. the clipped objective
        yield numbers | {"reward": sum(one.total for one in feedback) / len(feedback)}


def main(updates: int = 4) -> list[dict[str, float]]:
    """Train a small adapter on the seeds' instructions."""
    seeds = read_seeds(BUILTIN["builtin:seeds"], "seeds", "Apache-2.0").rows
    params = PPOParams(updates=updates, episodes_per_update=16, epochs=2, max_new_tokens=48)
    rows = []
    for update, row in enumerate(ppo(seeds, params), start=1):
        print(f"update {update}: reward {row['reward']:.3f}, loss {row['policy_loss']:.4f}")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
