"""KFP component ``train_ppo``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-train_ppo:0.1.0", install_kfp_package=False)
def train_ppo(
    instructions: dsl.Input[dsl.Dataset],
    adapter: dsl.Output[dsl.Model],
    curves: dsl.Output[dsl.Dataset],
    episodes: dsl.Output[dsl.Dataset],
    events: dsl.Output[dsl.Artifact],
    alarms: dsl.Output[dsl.Artifact],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    before: dsl.Input[dsl.Artifact] = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: str = "auto",
    processes: int = 1,
    nodes: int = 1,
    algorithm: str = "ppo",
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
    kl_rate: float = 0.1,
    gamma: float = 1.0,
    lam: float = 0.95,
    max_grad_norm: float = 1.0,
    warmup_updates: int = 5,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    truncation_penalty: float = 0.0,
    lora_rank: int = 16,
    lora_targets: str = "all-linear",
    trained_weights: str = "",
    lora_alpha: int = 32,
    max_kl: float = 10.0,
    whiten: bool = True,
    detach_value: bool = False,
    precision: str = "float32",
    quantization: str = "none",
    rollout: str = "transformers",
    rollout_url: str = "",
    rollout_memory: float = 0.4,
    rollout_batch: int = 64,
    importance_cap: float = 2.0,
    sharded: bool = False,
    checkpoint_every: int = 1,
    style: str = "auto",
    split: str = "classification",
    reward: str = "balanced",
    reward_drop: str = "",
    reward_extra: str = "",
    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    unieval: str = "MingZhong/unieval-dialog",
    language_model: str = "openai-community/gpt2",
    judge: str = "",
    judge_engine: str = "openai",
    judge_url: str = "",
    judge_price_per_million_read: float = 0.0,
    judge_price_per_million_written: float = 0.0,
    reward_clip: float = 5.0,
    reward_normalise: bool = True,
    reward_reference_rows: int = 512,
    reward_margin: float = 0.5,
    guards: bool = True,
    guard_min_words: int = 1,
    guard_max_words: int = 512,
    guard_repetition: float = 0.5,
    guard_copied: float = 1.0,
    guard_script: str = "LATIN",
    guard_script_share: float = 0.5,
    guard_penalty: float = 1.0,
    scorer_device: str = "auto",
    prompts: int = 4000,
    held_out: str = "",
    wandb: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Train the model by PPO from automated feedback to write better instances.

    Source: REFINE-AF, stage 2; PPO (arXiv 1707.06347); own engine, see refine_af/ppo.

    Args:
        instructions: Instructions to write instances for.
        adapter: The trained policy: PEFT directory, or whole model.
        curves: One row of numbers per update.
        episodes: Every episode: prompt, action, parts, advantage.
        events: The same curves as a TensorBoard event file.
        alarms: Signs of reward hacking, and why training stopped early.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        before: Records of the task before this one. Optional.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the
            engines transformers and vllm; for others auto is no).
        processes: Processes on each node, one GPU each; 0 takes all GPUs.
        nodes: Nodes; above 1 a Kubeflow TrainJob trains on them, and work_dir must be in a
            bucket.
        algorithm: ppo is our own; rloo and grpo are TRL's trainers with the same reward.
        updates: Rollouts, each with its optimisation.
        episodes_per_update: Episodes of one rollout.
        episodes_per_prompt: Episodes of one prompt; above 1 each is scored against the mean of
            its siblings, which takes the difficulty of prompts out of the advantages.
        minibatch: Episodes of one optimiser step.
        microbatch: Most episodes in one forward pass; bounds memory.
        epochs: Passes over the episodes of a rollout.
        learning_rate: Of the policy's weights, after warm-up; AdamW without weight decay.
        value_learning_rate: Of the value head; 0 takes 0.1 / hidden size: a step moves a value by
            about 0.1.
        clip: Epsilon of the policy objective.
        value_clip: Most that a value may move, in reward units; 0 does not clip.
        value_coefficient: Weight of the value loss; small, because the trunk is shared.
        entropy_coefficient: Weight of the entropy bonus.
        kl_coefficient: Price of one nat of KL to the start model, in reward units.
        kl_target: KL per episode to steer to, nats; 0 keeps the price.
        kl_rate: Gain of the controller that steers to kl_target.
        gamma: Discount.
        lam: Lambda of GAE.
        max_grad_norm: Largest gradient norm of a step.
        warmup_updates: Updates over which the learning rates rise; constant afterwards.
        max_new_tokens: Longest action, tokens.
        temperature: Of sampling and of every log-probability: the tempered policy is trained.
        truncation_penalty: Taken from a cut-off action's reward.
        lora_rank: Rank of the adapter; 0 trains the model's own weights.
        lora_targets: Layers with an adapter: all-linear (all but the output layer) or a regular
            expression of whole module names. Few layers near the output learn from fewer
            episodes.
        trained_weights: With lora_rank 0: regular expression of the weights' names; empty trains
            all.
        lora_alpha: Scale of the adapter: its output counts lora_alpha / lora_rank times.
        max_kl: Stop above this KL per episode, nats.
        whiten: Advantages get mean 0 and standard deviation 1.
        detach_value: The value loss trains the value head alone.
        precision: Of products in forward passes of a model in float32; one in half precision, as
            on a GPU, runs in its own. What is trained is float32 in any case.
        quantization: nf4 loads the base model in 4 bits (bitsandbytes, NVIDIA GPU, with an
            adapter).
        rollout: Who acts; vllm and vllm_server reload the adapter after each update.
        rollout_url: Address of the server of rollout=vllm_server; it shares TMPDIR.
        rollout_memory: Share of the GPU's memory for rollout=vllm.
        rollout_batch: rollout=transformers: episodes written at once; bounds the memory of keys
            and values.
        importance_cap: Largest importance weight of an action that another engine drew; 0 weighs
            none.
        sharded: Split the weights over the processes (FSDP) instead of copying.
        checkpoint_every: Updates between checkpoints.
        style: few_shot: worked tasks of our own, for base models; chat: a request in words, for
            chat models; plain: the instruction alone; auto: plain for a builtin: model, chat
            where the chat template is used, else few_shot.
        split: classification: ask first, then write outputs first for such tasks; none: inputs
            first.
        reward: instructmining, no_und, balanced, reward_model, embedded, judge, pmi and
            pmi_likelihood (by language_model alone), or module:function of your own.
        reward_drop: Terms of the preset to switch off, comma separated (ablations).
        reward_extra: Scorers whose parts are kept beside the total, comma separated: embedded,
            reward_model, unieval, language_model, judge, module:function.
        reward_model: Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every
            learned part from the package.
        unieval: UniEval's dialogue evaluator, likewise.
        language_model: Of perplexity and IFD, likewise.
        judge: Model of the part judge, as its engine knows it.
        judge_engine: Text engine of the judge.
        judge_url: Address of the judge's endpoint (openai).
        judge_price_per_million_read: What the judge's endpoint asks for a million tokens that it
            reads; 0: not known.
        judge_price_per_million_written: Likewise for a million tokens that it writes.
        reward_clip: Largest absolute normalised reward.
        reward_normalise: Express the rule's value in running standard deviations from its running
            mean.
        reward_reference_rows: Rows from which a standardised rule takes mean and standard
            deviation of each part; it keeps them, so that a drift shows.
        reward_margin: How far an unparseable output lies below the lowest total so far.
        guards: Penalise outputs that are empty, too long, repetitive or foreign.
        guard_min_words: Fewest words of an output.
        guard_max_words: Most words of an output.
        guard_repetition: Largest share of repeated 4-grams.
        guard_copied: Largest share of the output's 4-grams that stand in the prompt; 1 allows an
            echo. Rewards by likelihood pay for one: set 0.8 with pmi and pmi_likelihood.
        guard_script: Expected script, the first word of its Unicode names: LATIN, CYRILLIC, CJK,
            ...
        guard_script_share: Smallest share of letters of that script; 0 allows any.
        guard_penalty: Taken per broken guard, in standard deviations of the raw reward.
        scorer_device: Torch device of the scorers' models.
        prompts: Instructions to act on, drawn at random; 0 takes all.
        held_out: Score that PPO never sees, for alarms: gold (embedded tasks) or a part of a
            scorer in reward_extra. Empty: gold for a builtin: model, else none.
        wandb: Weights & Biases project; nothing is sent when empty.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("train_ppo", locals())
