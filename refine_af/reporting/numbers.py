"""The report as flat numbers, for the comparison of runs in the KFP UI."""

from refine_af.evaluation.compare import Comparison
from refine_af.reporting.contents import Contents
from refine_af.reporting.inputs import ReportInputs


def flat_metrics(inputs: ReportInputs, contents: Contents) -> dict[str, float]:
    """Return finite numbers by name; scores and differences are in points (0 to 100)."""
    metrics: dict[str, float] = {}
    comparisons = [contents.answer.main, *contents.answer.others, contents.answer.aa]
    for result in comparisons:
        if isinstance(result, Comparison):
            metrics |= _comparison(result)
    for arm in contents.answer.arms:
        values = {
            "rouge_l": _points(arm.rouge_l),
            "exact_match": _points(arm.exact_match),
            "reward": arm.reward,
            "sft_rows": float(arm.rows) if arm.rows else None,
        }
        metrics |= {
            f"{arm.name}_{key}": value for key, value in values.items() if value is not None
        }
    return metrics | _sizes(contents) | _data(contents) | _training(inputs)


def _sizes(contents: Contents) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for size in contents.curve.sizes[:-1] if contents.curve else ():
        metrics |= {f"{arm}_{size.rows}_rouge_l": 100 * score for arm, score in size.scores.items()}
        if size.result and size.result.win_share is not None:
            name = f"rl_vs_baseline_{size.rows}_win_share"
            metrics[name] = 100 * size.result.win_share
    return metrics


def _comparison(result: Comparison) -> dict[str, float]:
    name = f"{result.first}_vs_{result.second}"
    interval = result.intervals.win_share
    values = {
        "win_share": _points(result.win_share),
        "win_share_low": _points(interval.low),
        "win_share_high": _points(interval.high),
        "win_share_all": _points(result.win_share_all),
        "wins": float(result.wins),
        "ties": float(result.ties),
        "losses": float(result.losses),
        "mean_difference": _points(result.mean_difference),
        "p_two_sided": result.p_two_sided,
    }
    return {f"{name}_{key}": value for key, value in values.items() if value is not None}


def _data(contents: Contents) -> dict[str, float]:
    variety = contents.variety
    metrics = {"funnel_problems": float(len(contents.funnel.problems))}
    if variety.words:
        count = len(variety.words)
        metrics |= {
            "instructions": float(count),
            "instruction_words": sum(variety.words) / count,
            "verb_noun_covered": 100 * variety.covered / count,
            "verb_noun_pairs": float(variety.pairs),
        }
    if variety.similarity:
        metrics["seed_similarity"] = sum(variety.similarity) / len(variety.similarity)
    for name, style in contents.style.items():
        metrics |= {f"{name}_distinct_2": 100 * style.distinct_2, f"{name}_lix": style.lix}
    for name, copies in contents.copies.items():
        metrics |= {
            f"{name}_instances": float(copies.rows),
            f"{name}_copies_of_prompt": 100 * copies.of_prompt,
            f"{name}_repeated_outputs": 100 * copies.repeated,
            f"{name}_output_words": copies.output_words,
        }
    return metrics


def _training(inputs: ReportInputs) -> dict[str, float]:
    if not inputs.ppo_updates:
        return {}
    metrics = {
        "ppo_updates": float(len(inputs.ppo_updates)),
        "ppo_alarms": float(len(inputs.ppo_alarms)),
    }
    for key in ("reward_mean", "kl", "entropy", "length", "parseable"):
        for when, row in (("first", inputs.ppo_updates[0]), ("last", inputs.ppo_updates[-1])):
            if key in row:
                metrics[f"ppo_{key}_{when}"] = float(row[key])
    return metrics


def _points(value: float | None) -> float | None:
    return None if value is None else 100 * value
