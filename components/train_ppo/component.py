"""KFP component ``train_ppo``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-train_ppo:0.1.0", install_kfp_package=False)
def train_ppo(
    instructions: dsl.Input[dsl.Dataset],
    adapter: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.Dataset],
    episodes: dsl.Output[dsl.Dataset],
    alarms: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    provenance: dsl.Output[dsl.Artifact],
    telemetry: dsl.Output[dsl.Artifact],
    reward: str = "balanced",
    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    unieval: str = "MingZhong/unieval-dialog",
    reward_clip: float = 5.0,
    guards: bool = True,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    prompts: int = 4000,
    updates: int = 200,
    episodes_per_update: int = 64,
    episodes_per_prompt: int = 1,
    minibatch: int = 8,
    microbatch: int = 8,
    epochs: int = 4,
    learning_rate: float = 1e-05,
    value_learning_rate: float = 0.0,
    clip: float = 0.2,
    value_clip: float = 0.2,
    value_coefficient: float = 0.1,
    entropy_coefficient: float = 0.0,
    kl_coefficient: float = 0.05,
    kl_target: float = 0.0,
    gamma: float = 1.0,
    lam: float = 0.95,
    max_grad_norm: float = 1.0,
    warmup_updates: int = 5,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    truncation_penalty: float = 0.0,
    lora_rank: int = 16,
    lora_alpha: int = 32,
    max_kl: float = 10.0,
    whiten: bool = True,
    precision: str = "float32",
    checkpoint_every: int = 1,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Train the model by PPO from automated feedback to write better instances.

    Source: REFINE-AF, stage 2; PPO (arXiv 1707.06347); own engine, see refine_af/ppo.

    Args:
        instructions: Instructions to write instances for.
        adapter: The trained policy as a PEFT directory.
        curves: One row of numbers per update.
        episodes: Every episode: prompt, action, parts, advantage.
        alarms: Signs of reward hacking, and why training stopped early.
        metrics: Deterministic numbers.
        provenance: Parameters, digests of inputs and code that decided the rows.
        telemetry: Seconds, rates, host: all that differs between equal runs.
        reward: instructmining, no_und, balanced, reward_model, embedded, or module:function of
            your own.
        reward_model: Reward model; builtin:tiny takes every learned part from the package.
        unieval: UniEval's dialogue evaluator.
        reward_clip: Largest absolute normalised reward.
        guards: Penalise outputs that are empty, too long, repetitive or foreign.
        model: Start model: builtin:tiny, a Hub id, a path or a URI.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        prompts: Instructions to act on, drawn at random; 0 takes all.
        updates: Rollouts, each with its optimisation.
        episodes_per_update: Episodes of one rollout.
        episodes_per_prompt: Episodes of one prompt; above 1 each is scored against the mean of
            its siblings.
        minibatch: Episodes of one optimiser step.
        microbatch: Most episodes in one forward pass; bounds memory.
        epochs: Passes over the episodes of a rollout.
        learning_rate: Of the policy's weights.
        value_learning_rate: Of the value head; 0 takes 0.1 / hidden size.
        clip: Epsilon of the policy objective.
        value_clip: Most that a value may move; 0 does not clip.
        value_coefficient: Weight of the value loss.
        entropy_coefficient: Weight of the entropy bonus.
        kl_coefficient: Price of one nat of KL.
        kl_target: KL per episode to steer to, nats; 0 keeps the price.
        gamma: Discount.
        lam: Lambda of GAE.
        max_grad_norm: Largest gradient norm of a step.
        warmup_updates: Updates over which the learning rate rises.
        max_new_tokens: Longest action, tokens.
        temperature: Of sampling.
        truncation_penalty: Taken from a cut-off action's reward.
        lora_rank: Rank of the adapter; 0 trains every weight.
        lora_alpha: Scale of the adapter.
        max_kl: Stop above this KL per episode, nats.
        whiten: Advantages get mean 0 and deviation 1.
        precision: Of forward passes.
        checkpoint_every: Updates between checkpoints.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("train_ppo", locals())
