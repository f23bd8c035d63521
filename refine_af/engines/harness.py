"""Runs tasks of lm-evaluation-harness (ARC, HellaSwag, IFEval, GSM8K, ...) with the harness.

Its prompts, metrics and task versions are its own and stand in the result under its own names; we
hand it the model. It fetches most tasks' data from the Hub; a task file of your own may name local
data and needs no network.
"""

from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DependencyError, ParameterError, missing_library
from refine_af.engines.models import pick_device, resolve_model
from refine_af.engines.opening import trained_weights

MODELS = {"transformers": "hf", "vllm": "vllm"}
"""Our engines, and the harness's names of the same."""


def harness_scores(
    tasks: str, engine: str, model: str, adapter: Path | None, *, batch_size: int, seed: int
) -> dict[str, Any]:
    """Return the harness's version, and for each task its version, shots, instances and metrics.

    Args:
        tasks: Names of the harness, or ``.yaml`` task files, comma separated.
        engine: ``transformers`` or ``vllm``.
        model: As :func:`refine_af.engines.models.resolve_model`.
        adapter: What training wrote: a PEFT LoRA folder, or a whole model that replaces ``model``.
        batch_size: Rows at once.
        seed: Of everything that the harness draws.

    Raises:
        ParameterError: For another engine, or a task that the harness does not know.
        MissingLibraryError: When the harness is not installed.
        DependencyError: When a task's data cannot be fetched.
    """
    if engine not in MODELS:
        raise ParameterError(
            f"lm_eval is {tasks!r} and engine {engine!r}; the harness runs on transformers or vllm"
        )
    try:
        import lm_eval
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        remedy = "pip install 'refine-af[lm-eval]'"
        raise missing_library(error, f"lm_eval={tasks!r}", remedy) from None
    names, folders = _tasks(tasks)
    known = TaskManager(include_path=folders or None)
    unknown = [name for name in names if name not in known.all_tasks]
    if unknown:
        raise ParameterError(
            f"lm_eval: unknown task {', '.join(unknown)} (lm-eval {lm_eval.__version__});"
            " `lm_eval ls tasks` lists them, or give a .yaml task file"
        )
    results = _evaluate(
        names,
        seed,
        model=MODELS[engine],
        model_args=_model_arguments(engine, model, adapter),
        task_manager=known,
        batch_size=batch_size,
    )
    return {"harness": f"lm-eval {lm_eval.__version__}", "tasks": _results(results)}


def _model_arguments(engine: str, model: str, adapter: Path | None) -> dict[str, str]:
    model, adapter = trained_weights(model, adapter)
    arguments = {"pretrained": str(resolve_model(model))}
    if adapter is not None:
        arguments["peft" if engine == "transformers" else "lora_local_path"] = str(adapter)
    return arguments


def _evaluate(names: list[str], seed: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run the harness on the tasks; ``options`` are of ``lm_eval.simple_evaluate``."""
    import lm_eval

    try:
        results: dict[str, Any] = lm_eval.simple_evaluate(
            tasks=names,
            device=str(pick_device("auto")),
            bootstrap_iters=0,
            log_samples=False,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
            **options,
        )
    except (OSError, ConnectionError) as error:
        first = str(error).split("\n")[0]
        raise DependencyError(
            f"lm_eval: the data of {', '.join(names)} could not be read ({first}); the harness"
            " fetches it from the Hub: give network access, fill its cache, or a local task file"
        ) from None
    return results


def _tasks(text: str) -> tuple[list[str], list[str]]:
    """Return task names, and the folders of task files; a file is known by its ``task`` key."""
    import yaml

    names, folders = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if not part.endswith((".yaml", ".yml")):
            names.append(part)
            continue
        try:
            names.append(str(yaml.safe_load(Path(part).read_text(encoding="utf-8"))["task"]))
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ParameterError(
                f"lm_eval: {part}: not a task file with a key 'task' ({error})"
            ) from None
        folders.append(str(Path(part).absolute().parent))
    return names, folders


def _results(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "version": results["versions"].get(name),
            "n_shot": results["n-shot"].get(name),
            "instances": results["n-samples"].get(name, {}).get("effective"),
            "metrics": {
                key: float(value)
                for key, value in metrics.items()
                if isinstance(value, int | float) and key != "sample_len"
            },
        }
        for name, metrics in results["results"].items()
    }
