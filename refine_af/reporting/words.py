"""Fixed texts of the report: the meaning of each number, and differences from the paper."""

GLOSSARY = {
    "ROUGE-L": "Longest common subsequence of stemmed words with the best reference, as F1, times"
    " 100; 100 is the same words in the same order. Official SUPER-NI metric.",
    "Exact match": "Share of answers equal to a reference without case, punctuation and extra"
    " spaces, times 100.",
    "Reward": "Mean of the automated feedback over the rows that the arm may train on, in the"
    " units of the reward rule. It is what PPO optimises, not a measure of success.",
    "Rows trained on": "Instances and seed tasks that fine-tuning used. Paired arms use equally"
    " many.",
    "Win share": "Tasks on which the first arm's mean ROUGE-L is higher, over the tasks that are"
    " not tied. 50 % is what two equal models give.",
    "Interval": "95 % of the bootstrap's resamples (tasks, then the instances of each) lie inside."
    " Wider than the spread over tasks alone, and pulled towards 50 % where tasks are decided by"
    " a hair.",
    "p (sign test)": "Chance of a result at least this uneven, in either direction, if both arms"
    " were equally good. Exact; tied tasks do not count.",
    "Mean difference": "Mean over tasks of the difference of their mean scores, in points.",
    "Effect size": "Cohen's d_z: mean of the paired differences of the instances over their"
    " standard deviation. 0.2 is small, 0.5 medium, 0.8 large.",
    "Ties": "Task means that are equal (closer than 1e-9).",
    "Difference": "First arm minus second, in ROUGE-L points.",
    "Instances": "Questions of a task that were answered and scored.",
    "Copies of the prompt": "Share of outputs that are the instruction or the input again.",
    "Repeated outputs": "Share of outputs that stand in more than one instance.",
    "Different outputs": "Share of outputs that are unlike every earlier one of the arm.",
    "Different word pairs": "Different pairs of neighbouring words over all pairs, in the outputs"
    " (distinct-2). It falls as rows grow, so arms are measured over equally many.",
    "Input words": "Mean words of an input, between white space; instances without one count 0.",
    "LIX": "Complexity of the outputs: words per sentence plus the percentage of words with more"
    " than six letters (Bjornsson 1968). Below 30 easy, above 50 hard.",
    "Empty input": "Share of instances whose instruction needs no input.",
    "Output words": "Mean words of an output, between white space.",
    "KL": "Mean log-ratio between policy and start model over an episode, in nats.",
}

ARMS = {
    "rl": "trained on instances that the PPO-trained model wrote",
    "baseline": "the same without RL: the start model wrote the instances",
    "best_of_n": "no RL: of several samples of the start model, the one of highest reward",
    "start": "the model before fine-tuning",
    "baseline_b": "baseline again with another seed, to show what is noise",
}
"""What each arm is, under its name."""

WHERE_TIME_IS = (
    "Seconds, GPU-seconds and, with a price, money of every step stand on the run's timing page:"
    " refine-af timing RUN --price-per-gpu-hour PRICE. They vary, this page does not."
)

PAPER_TITLE = "REFINE-AF (arXiv 2505.06548)"

DIFFERENCES = (
    (
        "Ties and noise",
        "States the share of tasks that improve; no rule for ties, no interval is known.",
        "Ties stand apart; a bootstrap interval, an exact sign test and an A/A comparison stand"
        " beside the share.",
    ),
    (
        "Baseline",
        "Compares with earlier approaches on the same backbone.",
        "A paired arm: same instructions, row counts, seeds and settings; only the writer of the"
        " instances differs. Best-of-n by the same reward is the control without RL.",
    ),
    (
        "Filter limit",
        "Text of Self-Instruct: keep below 0.7.",
        "As its code does: drop strictly above 0.7.",
    ),
    (
        "Optimiser settings",
        "PPO, LoRA and fine-tuning settings of the paper could not be confirmed.",
        "Project choices; every value is a parameter and stands under provenance or in the"
        " manifest of the run.",
    ),
    (
        "Reward",
        "A linear rule over indicators (InstructMining).",
        "The rule is a preset with guards beside it: it pays for disfluent text when its"
        " indicators move together, so every part is logged and watched.",
    ),
    (
        "Evaluation",
        "119 SUPER-NI tasks, 100 instances each.",
        "The tasks named under provenance; another task set gives another number.",
    ),
    (
        "Human rating",
        "252 user-oriented instructions, rated by people.",
        "Not part of this page; ratings are collected on a separate sheet.",
    ),
)
