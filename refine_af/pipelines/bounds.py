"""The parameters of each stage under a configuration, and a bound on model calls."""

from typing import Any

from refine_af.contracts.stage import Stage
from refine_af.evolve.params import EvolutionParams
from refine_af.pipelines.config import ASK_FOR_INSTANCES, DEFAULTS, RunConfig
from refine_af.pipelines.tasks import given_values, planned
from refine_af.runner import find_stage
from refine_af.self_instruct.params import InstancesParams


def resolved(config: RunConfig, stage: Stage) -> dict[str, Any]:
    """Return every parameter of a stage as the run would set it."""
    given = given_values(config, stage, DEFAULTS | config.parameters)
    if stage.name in ASK_FOR_INSTANCES:
        given |= config.instance_form()
    return stage.params.parse(given, where=stage.name).model_dump()


def model_calls(config: RunConfig) -> dict[str, tuple[int, int]]:
    """Return an upper bound of (calls, new tokens) by task, from the parameters alone.

    Requests of the bootstrap are bounded by ``max_requests``; instances by the target number of
    instructions; evaluation calls are left out because they depend on the tasks' files.
    """
    if config.pipeline == "teams-rl":
        return _evolution_calls(config)
    bound: dict[str, tuple[int, int]] = {}
    bootstrap = resolved(config, find_stage("generate_instructions"))
    requests = bootstrap["max_requests"]
    bound["generate_instructions"] = (requests, requests * bootstrap["max_tokens"])
    for task in planned(config):
        if isinstance(task.params, InstancesParams):
            asked = bootstrap["target"] * config.shards
            calls = min(asked, task.params.limit or asked) * task.params.samples
            bound[task.name] = (calls, calls * task.params.max_tokens)
    if "rl" in config.arms:
        ppo = resolved(config, find_stage("train_ppo"))
        calls = ppo["updates"] * ppo["episodes_per_update"]
        bound["train_ppo"] = (calls, calls * ppo["max_new_tokens"])
    return bound


def _calls_of_a_step(values: dict[str, Any]) -> int:
    return EvolutionParams(
        accept=values["accept"], weight_changed=values["weight_changed"]
    ).calls_of_a_step


def _evolution_calls(config: RunConfig) -> dict[str, tuple[int, int]]:
    """Return the bound of the second pipeline: a rewrite and its reviews per operator tried.

    The number of seeds is known where ``seeds_limit`` sets it; else the packaged 175 are taken.
    """
    bound: dict[str, tuple[int, int]] = {}
    policy = resolved(config, find_stage("train_operator_policy"))
    evolve = resolved(config, find_stage("evolve_instructions"))
    tests = 1 + -(-policy["updates"] // max(policy["evaluate_every"], 1))
    tests = tests if policy["evaluate_every"] else 0
    episodes = policy["updates"] * policy["episodes"] + tests * policy["held_out"]
    tried = policy["policy_seeds"] * episodes * policy["steps"] + 6 * policy["table_seeds"]
    if "learned" in config.arms:
        calls = tried * _calls_of_a_step(policy)
        bound["train_operator_policy"] = (calls, tried * (policy["max_tokens"] + 2))
    tried = (evolve["seeds_limit"] or 175) * evolve["steps"] * evolve["passes"]
    if evolve["max_calls"]:
        tried = min(tried, evolve["max_calls"] // _calls_of_a_step(evolve))
    answers = resolved(config, find_stage("generate_responses"))
    for arm in config.arms:
        if arm != "no_evolution":
            name = f"evolve_instructions ({arm})"
            bound[name] = (
                tried * _calls_of_a_step(evolve),
                tried * (evolve["max_tokens"] + 2),
            )
        asked = min(tried, answers["limit"] or tried)
        calls = asked * (1 if arm == "no_evolution" else answers["samples"])
        bound[f"generate_responses ({arm})"] = (calls, calls * answers["max_tokens"])
    return bound
