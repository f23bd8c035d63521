# Written by make gen: do not edit.
"""Every stage as a function on rows or paths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from refine_af.api.results import Rows, StageResult, Table
from refine_af.contracts.records import Evolved, Instance, Instruction, ModelCall, OperatorStep, Prediction, Rejected, Seed
from refine_af.engines.text import TextEngine

class CheckInputsResult(StageResult):
    """What ``check_inputs`` wrote."""

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run reads, with digests."""

    @property
    def seeds_digest(self) -> str:
        """sha256 of the seeds."""

    @property
    def model_digest(self) -> str:
        """Digest or revision of the model."""

    @property
    def tasks_digest(self) -> str:
        """Digest of the evaluation tasks."""

def check_inputs(
    *,
    reward: str = "balanced",
    reward_drop: str = "",
    reward_extra: str = "",
    seeds_uri: Rows = "builtin:seeds",
    field_map: str = "",
    model: str = "builtin:tiny",
    tasks_uri: str = "builtin:tasks",
    expected_tasks: str = "",
    instances: int = 100,
    gpt2_tokenizer: str = "",
    packaged_tasks: bool = True,
    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    unieval: str = "MingZhong/unieval-dialog",
    language_model: str = "openai-community/gpt2",
    judge: str = "",
    judge_engine: Literal["transformers", "vllm", "openai", "scripted"] = "openai",
    judge_url: str = "",
    operators_uri: str = "",
    arms: str = "rl,baseline",
    seed: int = 1,
    settings: str = "",
    instructions: int = 15000,
    updates: int = 200,
    episodes: int = 64,
    policy_updates: int = 20,
    lora_rank: int = 16,
    sft_steps: int = 0,
    max_rouge_l: float = 0.7,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> CheckInputsResult:
    """Resolve seeds, model and tasks to digests and prove that the run can start.

    Args:
        reward: instructmining, no_und, balanced, reward_model, embedded, judge, pmi and pmi_likelihood (by language_model alone), or module:function of your own.
        reward_drop: Terms of the preset to switch off, comma separated (ablations).
        reward_extra: Scorers whose parts are kept beside the total, comma separated: embedded, reward_model, unieval, language_model, judge, module:function.
        seeds_uri: builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV, Parquet or plain lines, also .gz), or hf://data-set.
        field_map: Our fields by those of the file, such as instruction=question,output=answer; empty: known schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages, prompt and completion, plain lines).
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        tasks_uri: Natural-Instructions task files, or a list of them: builtin:tasks, a path or a URI.
        expected_tasks: Digest that the tasks must have; empty accepts any.
        instances: First N instances of each task.
        gpt2_tokenizer: GPT-2's tokenizer.json, a path or a URI: tasks in other languages need it.
        packaged_tasks: Evaluation may run on builtin:tasks, which are the embedded model's.
        reward_model: Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every learned part from the package.
        unieval: UniEval's dialogue evaluator, likewise.
        language_model: Of perplexity and IFD, likewise.
        judge: Model of the part judge, as its engine knows it.
        judge_engine: Text engine of the judge.
        judge_url: Address of the judge's endpoint (openai).
        operators_uri: Textual operations of the second pipeline; empty where none are read.
        arms: Trained arms, comma separated; part of the provenance.
        seed: Seed of all randomness.
        settings: Fields of the form and the values of their stages, as JSON; the form's are laid over.
        instructions: Of the form: new instructions to write.
        updates: Of the form: updates of PPO.
        episodes: Of the form: episodes of each update of PPO.
        policy_updates: Of the form: updates of the operators' policy.
        lora_rank: Of the form: rank of fine-tuning.
        sft_steps: Of the form: steps of fine-tuning.
        max_rouge_l: Of the form: similarity of a repeat.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class SeedIngestResult(StageResult):
    """What ``seed_ingest`` wrote."""

    @property
    def seeds(self) -> Table[Seed]:
        """Checked seed tasks with content-derived ids."""

    @property
    def calls(self) -> Table[ModelCall]:
        """Every model call: prompt's digest, seed, answer as it came."""

def seed_ingest(
    *,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    seeds_uri: Rows = "builtin:seeds",
    seeds_digest: str = "",
    field_map: str = "",
    classification: Literal["rule", "yes", "no", "ask"] = "rule",
    licence: str = "",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> SeedIngestResult:
    """Read seed tasks from anywhere and check every one.

    Args:
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        seeds_uri: builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV, Parquet or plain lines, also .gz), or hf://data-set.
        seeds_digest: Expected sha256 of the file; empty accepts any.
        field_map: Our fields by those of the file, such as instruction=question,output=answer; empty: known schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages, prompt and completion, plain lines).
        classification: What tasks are that do not say whether they are classification: rule (short answers, and words such as classify or sentiment), yes, no, or ask: as the model says.
        licence: Licence of seeds that name none; builtin:seeds are Apache-2.0.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class GenerateInstructionsResult(StageResult):
    """What ``generate_instructions`` wrote."""

    @property
    def instructions(self) -> Table[Instruction]:
        """New instructions in the order they were accepted."""

    @property
    def rejected(self) -> Table[Rejected]:
        """Dropped pieces with reason and neighbour."""

    @property
    def rounds(self) -> Table[dict[str, Any]]:
        """The acceptance curve: counts per round."""

    @property
    def calls(self) -> Table[ModelCall]:
        """Every model call: prompt's digest, seed, answer as it came."""

def generate_instructions(
    seeds: Rows,
    *,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    target: int = 15000,
    shard: int = 0,
    round_size: int = 64,
    max_requests: int = 20000,
    max_empty_rounds: int = 5,
    in_context: int = 8,
    machine_in_context: int = 2,
    sampling: Literal["self_instruct", "small_lm"] = "small_lm",
    temperature: float = 0.0,
    top_p: float = 0.0,
    max_tokens: int = 1024,
    max_rouge_l: float = 0.7,
    tokens: Literal["rouge", "unicode_words", "characters"] = "rouge",
    known_uri: Rows = "",
    parity: bool = False,
    alpaca_keywords: bool = False,
    drop_statements: bool = False,
    task_rating: Literal["none", "pmi"] = "none",
    min_rating: float = 0.0,
    best_share: float = 1.0,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> GenerateInstructionsResult:
    """Bootstrap new instructions from seeds with a language model (Self-Instruct).

    Args:
        seeds: Seed tasks.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        target: Instructions to reach. The round that reaches it counts whole, so there may be more: up to 8 for each prompt of round_size.
        shard: Number of this shard; each has a random stream of its own.
        round_size: Prompts drawn from one frozen pool; the published loop has 5, more keep a GPU busy.
        max_requests: Most requests before it ends.
        max_empty_rounds: Ends after so many rounds without a new instruction.
        in_context: Instructions shown.
        machine_in_context: Of them written by the model, where there are any.
        sampling: self_instruct (published values) or small_lm.
        temperature: Instead of the sampling's own; 0 keeps that.
        top_p: Likewise, nucleus mass.
        max_tokens: Most new tokens of a request.
        max_rouge_l: Drop an instruction whose ROUGE-L F1 with an earlier one is strictly above this.
        tokens: rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.
        known_uri: Texts that no new instruction may repeat: builtin:training-instructions (what builtin:tiny was trained on), or JSON Lines with a column `instruction`.
        parity: Decide as the published code where small models need better: str.capitalize, and a cut completion dropped whole.
        alpaca_keywords: Also drop Alpaca's five further keywords.
        drop_statements: Also drop a text that is one English statement, which small models write between tasks.
        task_rating: pmi: rate each instruction by how much likelier the model finds it behind seed tasks than alone, and drop by min_rating and best_share before it joins the pool.
        min_rating: With task_rating: least rating, nats per token.
        best_share: With task_rating, best-of-n: share of a round's instructions that stay, the best rated.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class TrainOperatorPolicyResult(StageResult):
    """What ``train_operator_policy`` wrote."""

    @property
    def policy(self) -> Path:
        """Weights as safetensors, and what they belong to."""

    @property
    def trace(self) -> Table[OperatorStep]:
        """Every operation tried: what was seen, chosen and earned."""

    @property
    def curve(self) -> Table[dict[str, Any]]:
        """Numbers per update and per test on held-out seeds."""

    @property
    def table(self) -> dict[str, Any]:
        """Seeds by operators after one step, and whether learning pays."""

    @property
    def ledger(self) -> dict[str, Any]:
        """Calls and tokens per role and phase."""

    @property
    def bank_out(self) -> Table[dict[str, Any]]:
        """The memory bank with what training wrote."""

def train_operator_policy(
    seeds: Rows,
    *,
    bank: Rows | None = None,
    rollouts: Rows | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    operators_uri: str = "builtin:operators",
    style: Literal["plain", "instruct", "few_shot"] = "instruct",
    steps: int = 6,
    temperature: float = 0.8,
    top_p: float = 0.95,
    max_tokens: int = 512,
    reviewer: str = "",
    reviewer_engine: Literal["", "transformers", "vllm", "openai", "scripted"] = "",
    reviewer_price_per_million_read: float = 0.0,
    reviewer_price_per_million_written: float = 0.0,
    accept: float = 0.6,
    patience: int = 2,
    min_words: int = 3,
    max_words: int = 512,
    weight_changed: float = 0.5,
    weight_novelty: float = 0.5,
    weight_invalid: float = 0.5,
    weight_frontier: float = 0.0,
    frontier_samples: int = 4,
    embedding: str = "builtin:static",
    clusters: int = 4,
    seeds_limit: int = 0,
    table_seeds: int = 256,
    held_out: int = 64,
    policy_seeds: int = 3,
    evaluate_every: int = 5,
    updates: int = 20,
    episodes: int = 32,
    epochs: int = 6,
    minibatch: int = 48,
    learning_rate: float = 0.01,
    clip: float = 0.2,
    gamma: float = 0.0,
    lam: float = 0.95,
    value_coefficient: float = 0.5,
    entropy_coefficient: float = 0.005,
    min_entropy: float = 0.8,
    max_kl: float = 1.0,
    max_grad_norm: float = 1.0,
    hidden: int = 64,
    text: bool = True,
    allow_stop: bool = False,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> TrainOperatorPolicyResult:
    """Learn by PPO which textual operation to apply to an instruction next.

    Args:
        seeds: Seed tasks to practise on.
        bank: Instructions of earlier runs that count as known (field instruction).
        rollouts: Steps of an earlier run with the same parameters: repeats its updates, no model runs.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        operators_uri: Operators and their prompts: builtin:operators, a YAML file or a URI.
        style: plain: as builtin:tiny was trained; instruct: a request in words; few_shot: worked rewrites before it, for base models and small ones.
        steps: Most operators tried on one seed.
        temperature: Of the rewriter.
        top_p: Nucleus mass.
        max_tokens: Most new tokens of a rewrite.
        reviewer: Model that compares rewrite and parent; empty: the rewriter's.
        reviewer_engine: Engine of the reviewer; empty: the rewriter's.
        reviewer_price_per_million_read: What the endpoint asks for a million tokens that a reviewer of its own reads; 0: not known.
        reviewer_price_per_million_written: Likewise for a million tokens that it writes.
        accept: Least probability of a difference, both orders averaged; 0 with weight_changed=0 asks no reviewer.
        patience: Invalid rewrites in a row that end an episode.
        min_words: Fewest words of an instruction.
        max_words: Most words of an instruction.
        weight_changed: Reward of a rewrite that differs.
        weight_novelty: Reward times 1 - largest cosine to siblings and the memory bank.
        weight_invalid: Taken for a rewrite that breaks a rule.
        weight_frontier: Reward times 4 s (1 - s), s the agreement of sampled answers; 0 samples none.
        frontier_samples: Answers sampled for that.
        embedding: Of instructions, for policy, novelty and clusters: builtin:static needs no model; else any sentence-transformers model (Hub id, path, gs:// or s3://).
        clusters: Groups of like seeds that are told apart in tables.
        seeds_limit: First N seeds; 0 takes all.
        table_seeds: Seeds of the one-step table, each with every operator; 0: no table.
        held_out: Seeds that only test policies; at most a third of all.
        policy_seeds: Policies trained independently; the best one is kept.
        evaluate_every: Updates between tests on held-out seeds; 0: none.
        updates: Rollouts of one policy, each with its optimisation.
        episodes: Episodes of one rollout.
        epochs: Passes over the steps of a rollout.
        minibatch: Steps of one optimiser step.
        learning_rate: Of Adam.
        clip: Epsilon of the policy objective.
        gamma: Discount; 0: only the operator's own reward counts.
        lam: Lambda of GAE.
        value_coefficient: Weight of the value loss.
        entropy_coefficient: Weight of the entropy, nats.
        min_entropy: Floor of the mean entropy, nats: an update ends before it falls below.
        max_kl: Passes of an update end beyond it, nats per step.
        max_grad_norm: Largest gradient norm of a step.
        hidden: Width of the two hidden layers.
        text: Whether the policy sees the instruction.
        allow_stop: Whether ending an episode is a choice of the policy.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class EvolveInstructionsResult(StageResult):
    """What ``evolve_instructions`` wrote."""

    @property
    def instructions(self) -> Table[Evolved]:
        """Kept instructions with root, parent and operator."""

    @property
    def rejected(self) -> Table[Rejected]:
        """Dropped rewrites with the rule."""

    @property
    def trace(self) -> Table[OperatorStep]:
        """Every operation tried, kept or not."""

    @property
    def calls(self) -> Table[ModelCall]:
        """Every model call: prompt's digest, seed, answer as it came."""

    @property
    def ledger(self) -> dict[str, Any]:
        """Calls and tokens per role and phase."""

    @property
    def bank_out(self) -> Table[dict[str, Any]]:
        """The memory bank with what was written."""

def evolve_instructions(
    seeds: Rows,
    *,
    operator_policy: str | Path | None = None,
    bank: Rows | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    operators_uri: str = "builtin:operators",
    style: Literal["plain", "instruct", "few_shot"] = "instruct",
    steps: int = 6,
    temperature: float = 0.8,
    top_p: float = 0.95,
    max_tokens: int = 512,
    reviewer: str = "",
    reviewer_engine: Literal["", "transformers", "vllm", "openai", "scripted"] = "",
    reviewer_price_per_million_read: float = 0.0,
    reviewer_price_per_million_written: float = 0.0,
    accept: float = 0.6,
    patience: int = 2,
    min_words: int = 3,
    max_words: int = 512,
    weight_changed: float = 0.5,
    weight_novelty: float = 0.5,
    weight_invalid: float = 0.5,
    weight_frontier: float = 0.0,
    frontier_samples: int = 4,
    embedding: str = "builtin:static",
    clusters: int = 4,
    seeds_limit: int = 0,
    policy: Literal["learned", "uniform", "fixed_mix", "released_mix", "llm", "no_evolution"] = "learned",
    mix: str = "",
    exploration: float = 0.03,
    passes: int = 1,
    max_calls: int = 0,
    keep_seeds: bool = False,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> EvolveInstructionsResult:
    """Evolve seeds by textual operations; drop what fails, keep lineage and reasons.

    Args:
        seeds: Seed tasks to start from.
        operator_policy: Policy of train_operator_policy.
        bank: Instructions of earlier runs that count as known (field instruction).
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        operators_uri: Operators and their prompts: builtin:operators, a YAML file or a URI.
        style: plain: as builtin:tiny was trained; instruct: a request in words; few_shot: worked rewrites before it, for base models and small ones.
        steps: Most operators tried on one seed.
        temperature: Of the rewriter.
        top_p: Nucleus mass.
        max_tokens: Most new tokens of a rewrite.
        reviewer: Model that compares rewrite and parent; empty: the rewriter's.
        reviewer_engine: Engine of the reviewer; empty: the rewriter's.
        reviewer_price_per_million_read: What the endpoint asks for a million tokens that a reviewer of its own reads; 0: not known.
        reviewer_price_per_million_written: Likewise for a million tokens that it writes.
        accept: Least probability of a difference, both orders averaged; 0 with weight_changed=0 asks no reviewer.
        patience: Invalid rewrites in a row that end an episode.
        min_words: Fewest words of an instruction.
        max_words: Most words of an instruction.
        weight_changed: Reward of a rewrite that differs.
        weight_novelty: Reward times 1 - largest cosine to siblings and the memory bank.
        weight_invalid: Taken for a rewrite that breaks a rule.
        weight_frontier: Reward times 4 s (1 - s), s the agreement of sampled answers; 0 samples none.
        frontier_samples: Answers sampled for that.
        embedding: Of instructions, for policy, novelty and clusters: builtin:static needs no model; else any sentence-transformers model (Hub id, path, gs:// or s3://).
        clusters: Groups of like seeds that are told apart in tables.
        seeds_limit: First N seeds; 0 takes all.
        policy: learned, uniform, fixed_mix, released_mix, llm, or no_evolution (the seeds alone).
        mix: Shares of fixed_mix: name=weight, name=weight.
        exploration: Share of uniform draws in a learned policy.
        passes: Times that every seed is evolved anew.
        max_calls: Most calls of rewriter and reviewer together; 0 sets no limit.
        keep_seeds: Hand on the seeds too.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class EmbedTextsResult(StageResult):
    """What ``embed_texts`` wrote."""

    @property
    def embeddings(self) -> Path:
        """vectors.npy [rows, D] and ids.jsonl."""

def embed_texts(
    candidates: Rows,
    *,
    candidates_2: Rows | None = None,
    candidates_3: Rows | None = None,
    candidates_4: Rows | None = None,
    candidates_5: Rows | None = None,
    candidates_6: Rows | None = None,
    candidates_7: Rows | None = None,
    candidates_8: Rows | None = None,
    pool: Rows | None = None,
    model: str = "sentence-transformers/all-MiniLM-L6-v2",
    text_field: str = "instruction",
    prefix: str = "",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 64,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> EmbedTextsResult:
    """Embed rows with a sentence-transformers model, for dedup_filter's semantic mode.

    Args:
        candidates: Rows to embed.
        candidates_2: More of them.
        candidates_3: More of them.
        candidates_4: More of them.
        candidates_5: More of them.
        candidates_6: More of them.
        candidates_7: More of them.
        candidates_8: More of them.
        pool: Rows that are already taken (seeds).
        model: Any sentence-transformers model with safetensors: a Hub id (org/name@revision), a path, gs:// or s3://.
        text_field: Column that is embedded.
        prefix: Put before each text; some models want one, such as 'query: '.
        dtype: Weights' precision.
        engine_batch: Texts per batch.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class DedupFilterResult(StageResult):
    """What ``dedup_filter`` wrote."""

    @property
    def kept(self) -> Table[dict[str, Any]]:
        """Rows that repeat nothing, unchanged."""

    @property
    def rejected(self) -> Table[Rejected]:
        """Dropped rows with reason, neighbour and score."""

def dedup_filter(
    candidates: Rows,
    *,
    candidates_2: Rows | None = None,
    candidates_3: Rows | None = None,
    candidates_4: Rows | None = None,
    candidates_5: Rows | None = None,
    candidates_6: Rows | None = None,
    candidates_7: Rows | None = None,
    candidates_8: Rows | None = None,
    pool: Rows | None = None,
    embeddings: str | Path | None = None,
    max_rouge_l: float = 0.7,
    text_field: str = "instruction",
    tokens: Literal["rouge", "unicode_words", "characters"] = "rouge",
    max_rows: int = 0,
    tasks_uri: str = "",
    tasks_digest: str = "",
    max_cosine: float = 0.0,
    max_per_root: int = 0,
    root_field: str = "root",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> DedupFilterResult:
    """Drop near-duplicates from anyone's JSON Lines, exactly as Self-Instruct decides.

    Args:
        candidates: Rows to judge, in order of arrival.
        candidates_2: More candidates, merged after the others.
        candidates_3: More candidates, merged after the others.
        candidates_4: More candidates, merged after the others.
        candidates_5: More candidates, merged after the others.
        candidates_6: More candidates, merged after the others.
        candidates_7: More candidates, merged after the others.
        candidates_8: More candidates, merged after the others.
        pool: Rows that are already taken (seeds); never dropped.
        embeddings: Vectors of candidates and pool from embed_texts; without it light static ones.
        max_rouge_l: Drop a row whose ROUGE-L F1 with a pool or kept row is strictly above this.
        text_field: Column that is compared.
        tokens: rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.
        max_rows: Keep at most this many rows, in order; 0 keeps all.
        tasks_uri: Evaluation tasks that no row may match: builtin:tasks or a URI; empty checks nothing.
        tasks_digest: Digest of the tasks, as check_inputs found them: other tasks are another run.
        max_cosine: Semantic mode: drop a row whose embedding's cosine with a pool or kept row is strictly above this; 0 compares wording alone.
        max_per_root: Keep at most this many rows of one root, in order; 0 sets no cap.
        root_field: Column that names a row's root; without it its own.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class TrainPpoResult(StageResult):
    """What ``train_ppo`` wrote."""

    @property
    def adapter(self) -> Path:
        """The trained policy: PEFT directory, or whole model."""

    @property
    def curves(self) -> Table[dict[str, Any]]:
        """One row of numbers per update."""

    @property
    def episodes(self) -> Table[dict[str, Any]]:
        """Every episode: prompt, action, parts, advantage."""

    @property
    def events(self) -> Path:
        """The same curves as a TensorBoard event file."""

    @property
    def alarms(self) -> dict[str, Any]:
        """Signs of reward hacking, and why training stopped early."""

def train_ppo(
    instructions: Rows,
    *,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    processes: int = 1,
    nodes: int = 1,
    algorithm: Literal["ppo", "rloo", "grpo"] = "ppo",
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
    precision: Literal["float32", "bfloat16"] = "float32",
    quantization: Literal["none", "nf4"] = "none",
    rollout: Literal["transformers", "vllm", "vllm_server"] = "transformers",
    rollout_url: str = "",
    rollout_memory: float = 0.4,
    rollout_batch: int = 64,
    importance_cap: float = 2.0,
    sharded: bool = False,
    checkpoint_every: int = 1,
    style: Literal["auto", "plain", "few_shot", "chat"] = "auto",
    split: Literal["classification", "none"] = "classification",
    reward: str = "balanced",
    reward_drop: str = "",
    reward_extra: str = "",
    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    unieval: str = "MingZhong/unieval-dialog",
    language_model: str = "openai-community/gpt2",
    judge: str = "",
    judge_engine: Literal["transformers", "vllm", "openai", "scripted"] = "openai",
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
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> TrainPpoResult:
    """Train the model by PPO from automated feedback to write better instances.

    Args:
        instructions: Instructions to write instances for.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        processes: Processes on each node, one GPU each; 0 takes all GPUs.
        nodes: Nodes; above 1 a Kubeflow TrainJob trains on them, and work_dir must be in a bucket.
        algorithm: ppo is our own; rloo and grpo are TRL's trainers with the same reward.
        updates: Rollouts, each with its optimisation.
        episodes_per_update: Episodes of one rollout.
        episodes_per_prompt: Episodes of one prompt; above 1 each is scored against the mean of its siblings, which takes the difficulty of prompts out of the advantages.
        minibatch: Episodes of one optimiser step.
        microbatch: Most episodes in one forward pass; bounds memory.
        epochs: Passes over the episodes of a rollout.
        learning_rate: Of the policy's weights, after warm-up; AdamW without weight decay.
        value_learning_rate: Of the value head; 0 takes 0.1 / hidden size: a step moves a value by about 0.1.
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
        lora_targets: Layers with an adapter: all-linear (all but the output layer) or a regular expression of whole module names. Few layers near the output learn from fewer episodes.
        trained_weights: With lora_rank 0: regular expression of the weights' names; empty trains all.
        lora_alpha: Scale of the adapter: its output counts lora_alpha / lora_rank times.
        max_kl: Stop above this KL per episode, nats.
        whiten: Advantages get mean 0 and standard deviation 1.
        detach_value: The value loss trains the value head alone.
        precision: Of products in forward passes of a model in float32; one in half precision, as on a GPU, runs in its own. What is trained is float32 in any case.
        quantization: nf4 loads the base model in 4 bits (bitsandbytes, NVIDIA GPU, with an adapter).
        rollout: Who acts; vllm and vllm_server reload the adapter after each update.
        rollout_url: Address of the server of rollout=vllm_server; it shares TMPDIR.
        rollout_memory: Share of the GPU's memory for rollout=vllm.
        rollout_batch: rollout=transformers: episodes written at once; bounds the memory of keys and values.
        importance_cap: Largest importance weight of an action that another engine drew; 0 weighs none.
        sharded: Split the weights over the processes (FSDP) instead of copying.
        checkpoint_every: Updates between checkpoints.
        style: few_shot: worked tasks of our own, for base models; chat: a request in words, for chat models; plain: the instruction alone; auto: plain for a builtin: model, chat where the chat template is used, else few_shot.
        split: classification: ask first, then write outputs first for such tasks; none: inputs first.
        reward: instructmining, no_und, balanced, reward_model, embedded, judge, pmi and pmi_likelihood (by language_model alone), or module:function of your own.
        reward_drop: Terms of the preset to switch off, comma separated (ablations).
        reward_extra: Scorers whose parts are kept beside the total, comma separated: embedded, reward_model, unieval, language_model, judge, module:function.
        reward_model: Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every learned part from the package.
        unieval: UniEval's dialogue evaluator, likewise.
        language_model: Of perplexity and IFD, likewise.
        judge: Model of the part judge, as its engine knows it.
        judge_engine: Text engine of the judge.
        judge_url: Address of the judge's endpoint (openai).
        judge_price_per_million_read: What the judge's endpoint asks for a million tokens that it reads; 0: not known.
        judge_price_per_million_written: Likewise for a million tokens that it writes.
        reward_clip: Largest absolute normalised reward.
        reward_normalise: Express the rule's value in running standard deviations from its running mean.
        reward_reference_rows: Rows from which a standardised rule takes mean and standard deviation of each part; it keeps them, so that a drift shows.
        reward_margin: How far an unparseable output lies below the lowest total so far.
        guards: Penalise outputs that are empty, too long, repetitive or foreign.
        guard_min_words: Fewest words of an output.
        guard_max_words: Most words of an output.
        guard_repetition: Largest share of repeated 4-grams.
        guard_copied: Largest share of the output's 4-grams that stand in the prompt; 1 allows an echo. Rewards by likelihood pay for one: set 0.8 with pmi and pmi_likelihood.
        guard_script: Expected script, the first word of its Unicode names: LATIN, CYRILLIC, CJK, ...
        guard_script_share: Smallest share of letters of that script; 0 allows any.
        guard_penalty: Taken per broken guard, in standard deviations of the raw reward.
        scorer_device: Torch device of the scorers' models.
        prompts: Instructions to act on, drawn at random; 0 takes all.
        held_out: Score that PPO never sees, for alarms: gold (embedded tasks) or a part of a scorer in reward_extra. Empty: gold for a builtin: model, else none.
        wandb: Weights & Biases project; nothing is sent when empty.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class GenerateInstancesResult(StageResult):
    """What ``generate_instances`` wrote."""

    @property
    def instances(self) -> Table[Instance]:
        """Instruction-input-output rows."""

    @property
    def rejected(self) -> Table[Rejected]:
        """What could not be used, with the reason."""

    @property
    def calls(self) -> Table[ModelCall]:
        """Every model call: prompt's digest, seed, answer as it came."""

def generate_instances(
    instructions: Rows,
    *,
    adapter: str | Path | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    style: Literal["auto", "plain", "few_shot", "chat"] = "auto",
    split: Literal["classification", "none"] = "classification",
    samples: int = 1,
    max_instances: int = 5,
    temperature: float = 0.0,
    top_p: float = 1.0,
    presence_penalty: float = 0.0,
    max_tokens: int = 350,
    replicate: int = 0,
    parity: bool = False,
    limit: int = 0,
    tasks_uri: str = "",
    tasks_digest: str = "",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> GenerateInstancesResult:
    """Write input-output pairs for instructions, with the start model or an adapter.

    Args:
        instructions: Instructions to write instances for.
        adapter: What train_ppo wrote; else the start model.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        style: few_shot: worked tasks of our own, for base models; chat: a request in words, for chat models; plain: the instruction alone; auto: plain for a builtin: model, chat where the chat template is used, else few_shot.
        split: classification: ask first, then write outputs first for such tasks; none: inputs first.
        samples: Completions per instruction.
        max_instances: Most instances per completion.
        temperature: 0 is greedy.
        top_p: Nucleus mass.
        presence_penalty: Against repetition; the published 1.5 suits few models.
        max_tokens: Most new tokens.
        replicate: Number of the repetition: other draws, all else equal (the A/A arm has 1).
        parity: Stop and read answers exactly as published: labels count anywhere in an answer.
        limit: First N instructions; 0 takes all.
        tasks_uri: Evaluation tasks that no instance may match: builtin:tasks or a URI; empty: no check.
        tasks_digest: Digest of the tasks, as check_inputs found them: other tasks are another run.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class GenerateResponsesResult(StageResult):
    """What ``generate_responses`` wrote."""

    @property
    def instances(self) -> Table[Instance]:
        """Instruction-input-output rows to train on."""

    @property
    def held_out(self) -> Table[Instance]:
        """The same of held-out roots: members of no training."""

    @property
    def reference_rows(self) -> Table[Instance]:
        """The same of roots that train the reference model."""

    @property
    def rejected(self) -> Table[Rejected]:
        """Dropped answers with the rule."""

    @property
    def calls(self) -> Table[ModelCall]:
        """Every model call: prompt's digest, seed, answer as it came."""

    @property
    def ledger(self) -> dict[str, Any]:
        """Calls and tokens per role and phase."""

def generate_responses(
    instructions: Rows,
    *,
    adapter: str | Path | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    style: Literal["plain", "instruct"] = "instruct",
    samples: int = 1,
    temperature: float = 0.7,
    top_p: float = 0.95,
    max_tokens: int = 1024,
    limit: int = 0,
    held_out_share: float = 0.0,
    reference_share: float = 0.0,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> GenerateResponsesResult:
    """Answer every instruction once; drop refusals and empty words, hold some roots out.

    Args:
        instructions: Rows with id, instruction and perhaps input and root.
        adapter: What a training wrote, if anything.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        style: instruct: the answer alone is wanted; plain: as builtin:tiny was trained, which also writes the input where the instruction has none.
        samples: Answers per instruction.
        temperature: 0 is greedy.
        top_p: Nucleus mass.
        max_tokens: Most new tokens.
        limit: First N instructions; 0 takes all.
        held_out_share: Share of the roots whose answers go to held_out, never to training.
        reference_share: Share of the roots whose answers train nothing but a reference model for audit_privacy; 0: no such attack.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class ScoreRewardsResult(StageResult):
    """What ``score_rewards`` wrote."""

    @property
    def scored(self) -> Table[dict[str, Any]]:
        """The instances with `parts` and `total`."""

    @property
    def rejected(self) -> Table[Rejected]:
        """Dropped rows with the rule; empty when only measuring."""

def score_rewards(
    instances: Rows,
    *,
    reference: Rows | None = None,
    reward: str = "balanced",
    reward_drop: str = "",
    reward_extra: str = "",
    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    unieval: str = "MingZhong/unieval-dialog",
    language_model: str = "openai-community/gpt2",
    judge: str = "",
    judge_engine: Literal["transformers", "vllm", "openai", "scripted"] = "openai",
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
    select: Literal["none", "threshold", "top_k", "best_per_instruction"] = "none",
    threshold: float = 0.0,
    top_k: int = 1000,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> ScoreRewardsResult:
    """Score instruction-input-output rows by automated feedback, every part kept.

    Args:
        instances: Instances to score: ours, or any JSON Lines with `instruction`, `output` and perhaps `input` and `id`; other columns pass through.
        reference: Scored rows that set the zero and unit of totals.
        reward: instructmining, no_und, balanced, reward_model, embedded, judge, pmi and pmi_likelihood (by language_model alone), or module:function of your own.
        reward_drop: Terms of the preset to switch off, comma separated (ablations).
        reward_extra: Scorers whose parts are kept beside the total, comma separated: embedded, reward_model, unieval, language_model, judge, module:function.
        reward_model: Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every learned part from the package.
        unieval: UniEval's dialogue evaluator, likewise.
        language_model: Of perplexity and IFD, likewise.
        judge: Model of the part judge, as its engine knows it.
        judge_engine: Text engine of the judge.
        judge_url: Address of the judge's endpoint (openai).
        judge_price_per_million_read: What the judge's endpoint asks for a million tokens that it reads; 0: not known.
        judge_price_per_million_written: Likewise for a million tokens that it writes.
        reward_clip: Largest absolute normalised reward.
        reward_normalise: Express the rule's value in running standard deviations from its running mean.
        reward_reference_rows: Rows from which a standardised rule takes mean and standard deviation of each part; it keeps them, so that a drift shows.
        reward_margin: How far an unparseable output lies below the lowest total so far.
        guards: Penalise outputs that are empty, too long, repetitive or foreign.
        guard_min_words: Fewest words of an output.
        guard_max_words: Most words of an output.
        guard_repetition: Largest share of repeated 4-grams.
        guard_copied: Largest share of the output's 4-grams that stand in the prompt; 1 allows an echo. Rewards by likelihood pay for one: set 0.8 with pmi and pmi_likelihood.
        guard_script: Expected script, the first word of its Unicode names: LATIN, CYRILLIC, CJK, ...
        guard_script_share: Smallest share of letters of that script; 0 allows any.
        guard_penalty: Taken per broken guard, in standard deviations of the raw reward.
        scorer_device: Torch device of the scorers' models.
        select: none only measures, as the paired arms need; the others drop rows with a reason.
        threshold: Least total, for select=threshold.
        top_k: Rows kept, for select=top_k.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class TrainSftResult(StageResult):
    """What ``train_sft`` wrote."""

    @property
    def adapter(self) -> Path:
        """PEFT adapter with its page, or the full model."""

    @property
    def merged(self) -> Path:
        """Base and adapter in one, where `merge` asks for it."""

    @property
    def history(self) -> Table[dict[str, Any]]:
        """One row per optimizer step: loss, rate, tokens."""

    @property
    def used(self) -> Table[dict[str, Any]]:
        """Every offered row: its tokens, or why it was left out."""

def train_sft(
    instances: Rows,
    *,
    match: Rows | None = None,
    match_2: Rows | None = None,
    match_3: Rows | None = None,
    seeds: Rows | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    processes: int = 1,
    nodes: int = 1,
    replicate: int = 0,
    method: Literal["lora", "qlora", "full"] = "lora",
    rows: int = 0,
    include_seed_tasks: bool = True,
    template: Literal["auto", "plain", "alpaca", "mix", "chat"] = "auto",
    epochs: float = 2.0,
    max_steps: int = 0,
    batch_size: int = 128,
    gradient_accumulation: int = 0,
    learning_rate: float = 0.0002,
    schedule: Literal["cosine", "linear", "constant"] = "cosine",
    warmup_ratio: float = 0.03,
    lora_rank: int = 16,
    lora_alpha: int = 32,
    lora_dropout: float = 0.05,
    max_length: int = 1024,
    packing: bool = False,
    padding_free: bool = False,
    merge: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    gradient_checkpointing: bool = True,
    checkpoint_steps: int = 50,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> TrainSftResult:
    """Fine-tune the base model on instances; loss on the completions only.

    Args:
        instances: Instruction-input-output rows to train on.
        match: Rows of another arm: only instructions that both hold are trained on, with equal counts.
        match_2: Rows of a further arm, likewise.
        match_3: Rows of a further arm, likewise.
        seeds: Seed tasks, trained on too where asked for.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        processes: Processes on each node, one GPU each; 0 takes all GPUs.
        nodes: Nodes; above 1 a Kubeflow TrainJob trains on them, and work_dir must be in a bucket.
        replicate: Number of the repetition: other draws, all else equal (the A/A arm has 1).
        method: lora; qlora (4-bit base weights, CUDA only); full (every weight).
        rows: Train on at most this many instances, one of each instruction first; 0: all.
        include_seed_tasks: Train on the seed tasks too.
        template: Words around a row: plain, alpaca, mix (13 forms), chat (the model's own template); auto: chat where the chat template is used, else plain.
        epochs: Passes over the rows; max_steps sets them aside.
        max_steps: Optimizer steps; 0 follows epochs.
        batch_size: Rows of one optimizer step.
        gradient_accumulation: Pieces a batch is cut into to save memory; 0: pieces of at most 16 rows.
        learning_rate: Highest learning rate.
        schedule: Learning rate after warm-up.
        warmup_ratio: Share of the steps in which the learning rate rises from 0.
        lora_rank: Rank of the adapter, on all linear layers.
        lora_alpha: The adapter's output is scaled by alpha / rank.
        lora_dropout: Dropout on the adapter's input.
        max_length: Most tokens of prompt and completion; longer rows are left out and listed.
        packing: Several rows in one sequence, each attending to itself only; batch_size counts sequences.
        padding_free: Rows of a forward pass in one sequence, without padding.
        merge: Write the merged model too (lora, qlora).
        device: auto takes a GPU where there is one.
        dtype: Precision of the products; auto is bfloat16 on a GPU, float32 on the CPU.
        gradient_checkpointing: Recompute activations on a GPU to save memory.
        checkpoint_steps: Optimizer steps between checkpoints; 0 keeps none.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class EvaluateResult(StageResult):
    """What ``evaluate`` wrote."""

    @property
    def predictions(self) -> Table[Prediction]:
        """One row per instance with both scores."""

    @property
    def scores(self) -> dict[str, Any]:
        """Per task, per category and overall, times 100."""

def evaluate(
    *,
    adapter: str | Path | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    engine: TextEngine | Literal["transformers", "vllm", "openai", "scripted"] = "transformers",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: Literal["auto", "openai", "vllm"] = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    tasks_uri: str = "builtin:tasks",
    tasks_digest: str = "",
    instances: int = 100,
    gpt2_tokenizer: str = "",
    prompt: str = "auto",
    max_tokens: int = 128,
    stop: str = "\\n\\n",
    lm_eval: str = "",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> EvaluateResult:
    """Answer unseen tasks zero-shot and score them with the official SUPER-NI metrics.

    Args:
        adapter: What a training wrote; without it the model as it is.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's; auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the stage ends and keeps what was answered.
        tasks_uri: Natural-Instructions task files, or a list of them: builtin:tasks, a path or a URI.
        tasks_digest: Expected digest of the tasks; empty accepts any.
        instances: First N instances of each task.
        gpt2_tokenizer: GPT-2's tokenizer.json, a path or a URI: tasks in other languages need it.
        prompt: tk_instruct, plain, alpaca, bare (the task's words and the input alone), or a Jinja2 template of your own; auto: bare where the chat template is used, as train_sft trains there, else tk_instruct.
        max_tokens: Most tokens of an answer.
        stop: Text that ends an answer, backslash escapes allowed; empty: end token only.
        lm_eval: Tasks of lm-evaluation-harness beside, comma separated: names or .yaml files.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class AuditPrivacyResult(StageResult):
    """What ``audit_privacy`` wrote."""

    @property
    def audit(self) -> dict[str, Any]:
        """AUC with interval and true-positive rate at 1 % of each attack."""

    @property
    def losses(self) -> Table[dict[str, Any]]:
        """Mean loss per completion token of every row and model."""

def audit_privacy(
    adapter: str | Path,
    instances: Rows,
    used: Rows,
    held_out: Rows,
    *,
    reference: str | Path | None = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: Literal["auto", "yes", "no"] = "auto",
    template: Literal["plain", "alpaca", "mix", "chat"] = "plain",
    resamples: int = 1000,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> AuditPrivacyResult:
    """Membership inference on the fine-tuned model, with held-out rows split by root.

    Args:
        adapter: The fine-tuned model's adapter (train_sft).
        instances: Rows that were offered to train_sft.
        used: Which of them it trained on (train_sft).
        held_out: Rows of held-out roots (generate_responses).
        reference: Adapter trained on other rows of the same origin: adds the reference-model attack.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the engines transformers and vllm; for others auto is no).
        template: Words around a row: the template that train_sft used.
        resamples: Resamples of the bootstrap interval.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class ReportResult(StageResult):
    """What ``report`` wrote."""

    @property
    def report(self) -> Path:
        """The report."""

    @property
    def summary(self) -> Path:
        """The same content for the KFP UI."""

    @property
    def result(self) -> dict[str, Any]:
        """The answer, and the numbers per arm."""

def report(
    *,
    run: str | Path | None = None,
    records_1: str | Path | None = None,
    records_2: str | Path | None = None,
    records_3: str | Path | None = None,
    records_4: str | Path | None = None,
    records_5: str | Path | None = None,
    records_6: str | Path | None = None,
    records_7: str | Path | None = None,
    records_8: str | Path | None = None,
    records_9: str | Path | None = None,
    records_10: str | Path | None = None,
    records_11: str | Path | None = None,
    records_12: str | Path | None = None,
    records_13: str | Path | None = None,
    records_14: str | Path | None = None,
    records_15: str | Path | None = None,
    records_16: str | Path | None = None,
    records_17: str | Path | None = None,
    records_18: str | Path | None = None,
    records_19: str | Path | None = None,
    records_20: str | Path | None = None,
    records_21: str | Path | None = None,
    records_22: str | Path | None = None,
    records_23: str | Path | None = None,
    records_24: str | Path | None = None,
    seed: int = 1,
    resamples: int = 2000,
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> ReportResult:
    """One self-contained HTML report: what RL added, on which tasks, where every row went.

    Args:
        run: An earlier run, for tasks that no other input has.
        records_1: Records of the last task of a part of the run.
        records_2: Records of the last task of a part of the run.
        records_3: Records of the last task of a part of the run.
        records_4: Records of the last task of a part of the run.
        records_5: Records of the last task of a part of the run.
        records_6: Records of the last task of a part of the run.
        records_7: Records of the last task of a part of the run.
        records_8: Records of the last task of a part of the run.
        records_9: Records of the last task of a part of the run.
        records_10: Records of the last task of a part of the run.
        records_11: Records of the last task of a part of the run.
        records_12: Records of the last task of a part of the run.
        records_13: Records of the last task of a part of the run.
        records_14: Records of the last task of a part of the run.
        records_15: Records of the last task of a part of the run.
        records_16: Records of the last task of a part of the run.
        records_17: Records of the last task of a part of the run.
        records_18: Records of the last task of a part of the run.
        records_19: Records of the last task of a part of the run.
        records_20: Records of the last task of a part of the run.
        records_21: Records of the last task of a part of the run.
        records_22: Records of the last task of a part of the run.
        records_23: Records of the last task of a part of the run.
        records_24: Records of the last task of a part of the run.
        seed: Seed of the bootstrap and of the samples shown.
        resamples: Resamples of the bootstrap intervals.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class RegisterModelResult(StageResult):
    """What ``register_model`` wrote."""

    @property
    def registration(self) -> dict[str, Any]:
        """Where it is, and its ids in the registry."""

def register_model(
    adapter: str | Path,
    *,
    merged: str | Path | None = None,
    lineage: str | Path | None = None,
    result: Mapping[str, Any] | str | Path | None = None,
    arm: str = "rl",
    model_uri: str = "",
    name: str = "refine-af",
    version: str = "",
    form: Literal["adapter", "merged"] = "adapter",
    registry: str = "",
    author: str = "",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> RegisterModelResult:
    """Write a tuned model to a bucket or OCI registry; register it in a model registry.

    Args:
        adapter: What fine-tuning made: an adapter, or the full model.
        merged: Base and adapter in one.
        lineage: Records of the tasks that made it.
        result: The report's result, for the scores.
        arm: Arm whose model is registered.
        model_uri: Folder or URI below which NAME/VERSION is written, or oci://HOST/PATH, where NAME:VERSION is; needed.
        name: Name of the registered model, which all versions share.
        version: Name of the version; empty: a digest of the model's files.
        form: What is registered; merged needs train_sft.merge.
        registry: http(s) address of a Kubeflow Model Registry; empty: the files are written, no more.
        author: Who is named as the version's author.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """

class NotifyResult(StageResult):
    """What ``notify`` wrote."""

def notify(
    *,
    result: Mapping[str, Any] | str | Path | None = None,
    url: str = "",
    pipeline: str = "",
    preset: str = "",
    run: str = "",
    run_id: str = "",
    namespace: str = "",
    ui_host: str = "",
    failures: str = "",
    endings_dir: str = "",
    final_status: str = "",
    output_dir: str | Path = "",
    work_dir: str | Path = "",
) -> NotifyResult:
    """Tell an address how the run ended.

    Args:
        result: The report's result, whose scores are told.
        url: http(s) address; empty: the environment variable NOTIFY_URL, which a secret fills, because such addresses often hold a token.
        pipeline: Name of the pipeline.
        preset: Preset that was compiled.
        run: Name of the run.
        run_id: Id of the run on its engine.
        namespace: Namespace of the run, for Argo's link.
        ui_host: Address of the user interface, for the link.
        failures: Failed tasks as Argo tells them, JSON.
        endings_dir: Work folder of the run, where KFP's tasks leave how they ended; empty: nothing is read.
        final_status: How the run ended: Argo's word, or KFP's final status as JSON.
        output_dir: Folder that keeps the outputs; without it they go with the result.
        work_dir: Path or URI of the journals: with it, the same call continues where one stopped.
    """
