"""KFP component ``check_inputs``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-check_inputs:0.1.0", install_kfp_package=False)
def check_inputs(
    manifest: dsl.Output[dsl.Artifact],
    seeds_digest: dsl.OutputPath(str),
    model_digest: dsl.OutputPath(str),
    tasks_digest: dsl.OutputPath(str),
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    before: dsl.Input[dsl.Artifact] = None,
    reward: str = "balanced",
    reward_drop: str = "",
    reward_extra: str = "",
    seeds_uri: str = "builtin:seeds",
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
    judge_engine: str = "openai",
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
    work_dir: str = "",
    label: str = "",
) -> None:
    """Resolve seeds, model and tasks to digests and prove that the run can start.

    Source: project choice: a wrong input must not cost a GPU hour

    Args:
        manifest: What the run reads, with digests.
        seeds_digest: sha256 of the seeds.
        model_digest: Digest or revision of the model.
        tasks_digest: Digest of the evaluation tasks.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        before: Records of the task before this one. Optional.
        reward: instructmining, no_und, balanced, reward_model, embedded, judge, pmi and
            pmi_likelihood (by language_model alone), or module:function of your own.
        reward_drop: Terms of the preset to switch off, comma separated (ablations).
        reward_extra: Scorers whose parts are kept beside the total, comma separated: embedded,
            reward_model, unieval, language_model, judge, module:function.
        seeds_uri: builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV,
            Parquet or plain lines, also .gz), or hf://data-set.
        field_map: Our fields by those of the file, such as instruction=question,output=answer;
            empty: known schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages,
            prompt and completion, plain lines).
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        tasks_uri: Natural-Instructions task files, or a list of them: builtin:tasks, a path or a
            URI.
        expected_tasks: Digest that the tasks must have; empty accepts any.
        instances: First N instances of each task.
        gpt2_tokenizer: GPT-2's tokenizer.json, a path or a URI: tasks in other languages need it.
        packaged_tasks: Evaluation may run on builtin:tasks, which are the embedded model's.
        reward_model: Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every
            learned part from the package.
        unieval: UniEval's dialogue evaluator, likewise.
        language_model: Of perplexity and IFD, likewise.
        judge: Model of the part judge, as its engine knows it.
        judge_engine: Text engine of the judge.
        judge_url: Address of the judge's endpoint (openai).
        operators_uri: Textual operations of the second pipeline; empty where none are read.
        arms: Trained arms, comma separated; part of the provenance.
        seed: Seed of all randomness.
        settings: Fields of the form and the values of their stages, as JSON; the form's are laid
            over.
        instructions: Of the form: new instructions to write.
        updates: Of the form: updates of PPO.
        episodes: Of the form: episodes of each update of PPO.
        policy_updates: Of the form: updates of the operators' policy.
        lora_rank: Of the form: rank of fine-tuning.
        sft_steps: Of the form: steps of fine-tuning.
        max_rouge_l: Of the form: similarity of a repeat.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("check_inputs", locals())
