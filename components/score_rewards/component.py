"""KFP component ``score_rewards``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-score_rewards:0.1.0", install_kfp_package=False)
def score_rewards(
    instances: dsl.Input[dsl.Dataset],
    scored: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    reference: dsl.Input[dsl.Dataset] = None,
    before: dsl.Input[dsl.Artifact] = None,
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
    select: str = "none",
    threshold: float = 0.0,
    top_k: int = 1000,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Score instruction-input-output rows by automated feedback, every part kept.

    Source: REFINE-AF, stage 2 reward; InstructMining (arXiv 2307.06290); UniEval (EMNLP 2022).

    Args:
        instances: Instances to score: ours, or any JSON Lines with `instruction`, `output` and
            perhaps `input` and `id`; other columns pass through.
        scored: The instances with `parts` and `total`.
        rejected: Dropped rows with the rule; empty when only measuring.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        reference: Scored rows that set the zero and unit of totals. Optional.
        before: Records of the task before this one. Optional.
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
        select: none only measures, as the paired arms need; the others drop rows with a reason.
        threshold: Least total, for select=threshold.
        top_k: Rows kept, for select=top_k.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("score_rewards", locals())
