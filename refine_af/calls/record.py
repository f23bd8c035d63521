"""The row that is kept of one model call."""

import json

from refine_af.calls.answers import sampling_fields
from refine_af.contracts.readable import is_readable, readable
from refine_af.contracts.records import ModelCall, content_id
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.storage.manifest import digest_bytes


def model_call(
    request: Request, parents: tuple[str, ...], sampling: Sampling, answer: Completion
) -> ModelCall:
    """Return the row of one call; ``parents`` are the rows that its prompt shows."""
    digest = digest_bytes(request.prompt.encode("utf-8", "surrogatepass"))
    intact = is_readable(answer.text)
    return ModelCall(
        id=content_id("call", request.id, digest, request.seed, answer.text),
        parents=parents,
        request=request.id,
        prompt_digest=digest,
        seed=request.seed,
        sampling=sampling_fields(sampling),
        finish=answer.finish,
        prompt_tokens=answer.prompt_tokens,
        tokens=answer.tokens,
        text=answer.text if intact else readable(answer.text),
        escaped="" if intact else json.dumps(answer.text),
        error=readable(answer.error),
        thinking=readable(answer.thinking),
    )
