"""Upload of an exported folder to a model hub, only when asked for."""

from pathlib import Path

from refine_af.contracts.errors import DependencyError, ParameterError


def push(folder: Path, repository: str, *, public: bool) -> str:
    """Upload the folder as one commit of a data set repository, made when there is none.

    Endpoint and token are the Hub client's own (``HF_ENDPOINT``, ``HF_TOKEN`` or its login), so
    that no secret stands on a command line.

    Args:
        folder: With the page ``README.md`` and ``data/``.
        repository: ``owner/name``.
        public: Whether a new repository is visible to everybody; an existing one stays as it is.

    Returns:
        The address of the commit.

    Raises:
        ParameterError: For a name that the Hub does not take.
        DependencyError: When the Hub cannot be reached or refuses.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message="Export of instruction data",
        )
    except HFValidationError as error:
        raise ParameterError(f"--push-to-hub {repository!r}: {error}") from None
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise DependencyError(
            f"--push-to-hub {repository}: {api.endpoint} did not take it ({_first_line(error)});"
            " check the name, the token (HF_TOKEN) and the network"
        ) from None
    return str(done.commit_url)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
