"""Which evaluation tasks are answered, and in which words they are asked."""

from refine_af.contracts.params import Params, param, rule
from refine_af.evaluation.task_sets import FIRST_INSTANCES


class TasksParams(Params):
    """The evaluation tasks."""

    tasks_uri: str = param(
        "builtin:tasks",
        "Natural-Instructions task files, or a list of them: builtin:tasks, a path or a URI.",
        names="tasks",
        digest="tasks_digest",
    )
    tasks_digest: str = param("", "Expected digest of the tasks; empty accepts any.")
    instances: int = param(
        FIRST_INSTANCES,
        "First N instances of each task.",
        source="SUPER-NI: the first 100 are label-balanced on purpose",
        ge=1,
        counts_rows=True,
    )
    gpt2_tokenizer: str = param(
        "",
        "GPT-2's tokenizer.json, a path or a URI: tasks in other languages need it.",
        source="SUPER-NI, cross-lingual track",
        names="file",
    )


class AnswerParams(TasksParams):
    """How the tasks are asked, and where an answer ends."""

    prompt: str = param(
        "auto",
        "tk_instruct, plain, alpaca, bare (the task's words and the input alone), or a Jinja2"
        " template of your own; auto: bare where the chat template is used, as train_sft trains"
        " there, else tk_instruct.",
        source="Tk-Instruct, definition only",
    )
    max_tokens: int = param(128, "Most tokens of an answer.", source="Tk-Instruct", ge=1)
    stop: str = param(
        "\\n\\n", "Text that ends an answer, backslash escapes allowed; empty: end token only."
    )

    @property
    def stop_text(self) -> str:
        """Return the text that ``stop`` stands for, its escapes read.

        Raises:
            UnicodeDecodeError: For an escape that is none.
        """
        # the escapes of other characters first: unicode_escape reads bytes as Latin-1
        return self.stop.encode("latin-1", "backslashreplace").decode("unicode_escape")

    @rule("stop")
    def escapes_are_readable(self) -> str:
        """``stop`` has the escapes of a Python string."""
        try:
            self.stop_text  # noqa: B018  its error is wanted
        except UnicodeDecodeError as error:
            return f"{error.reason}; write a backslash twice"
        return ""

    @rule("prompt")
    def prompt_is_a_template(self) -> str:
        """``prompt`` names a template or is one."""
        from refine_af.evaluation.prompts import render_prompt  # loads Jinja2

        if self.prompt != "auto":
            render_prompt(self.prompt, "Add the numbers.", "1 2")
        return ""
