"""The exceptions of the project, and the exit code that each one ends a process with.

Exit codes follow ``sysexits.h``, so that Argo's ``retryStrategy`` can distinguish a mistake, which
a retry repeats, from an outage, which may pass. Any other exception is a bug: it keeps its
traceback and exits with 1.
"""

from refine_af.contracts.addresses import masked

EXIT_BUG = 1


class RefineAfError(Exception):
    """A failure that the user can act on; the message says what, where and what to do.

    Addresses in the message are masked: libraries quote them as they were given.
    """

    exit_code = EXIT_BUG
    retry_can_help = False
    is_remembered = True
    """Whether a journal may answer the next try with it, while parameters, inputs and software
    are the same. Not where something outside of these is missing."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*(masked(part) if isinstance(part, str) else part for part in parts))


class ParameterError(RefineAfError):
    """A parameter, option or configuration key is wrong. A retry repeats it."""

    exit_code = 64


class DataError(RefineAfError):
    """An input is invalid. A retry repeats it."""

    exit_code = 65


class MemoryShortageError(DataError):
    """One row does not fit the memory. A retry repeats it on this machine, not on a larger one."""

    is_remembered = False


class DependencyError(RefineAfError):
    """A library, model, service or disk that the stage needs is not usable now."""

    exit_code = 69
    retry_can_help = True


class MissingLibraryError(RefineAfError):
    """A parameter asks for a library that this environment lacks. A retry repeats it.

    The remedy is another value (an engine, a scorer) or another image, so it has a parameter's exit
    code.
    """

    exit_code = 64
    is_remembered = False


class StorageError(DependencyError):
    """A path or object could not be read or written (missing bucket, full disk, no access)."""


class LeaseHeldError(DependencyError):
    """Another live process works on the same work directory."""


class JournalMismatchError(DataError):
    """A journal was asked to continue a configuration other than its own."""


def missing_library(error: ImportError, user: str, remedy: str) -> MissingLibraryError:
    """Return the error of a library that cannot be imported here, by the name Python gave it.

    Args:
        error: As caught; its cause decides, where it has one.
        user: What needs the library, as the user knows it.
        remedy: What to do next.

    Raises:
        ImportError: When it is a module of this package: a bug.
    """
    while isinstance(error.__cause__, ImportError):
        error = error.__cause__
    name = error.name or ""
    if name.partition(".")[0] == "refine_af":
        raise error
    if isinstance(error, ModuleNotFoundError) and name:
        return MissingLibraryError(f"{user} needs {name}, which is not installed here; {remedy}")
    said = " ".join(str(error).split())[:300]
    return MissingLibraryError(
        f"{user} needs {name or 'a library'}, which cannot be imported here ({said}); {remedy}"
    )


FEW = 12
"""Names that a message lists beside a suggestion; more would bury it."""


def allowed_names(word: str, allowed: list[str], label: str = "allowed") -> str:
    """Return ``" Did you mean 'x'?"`` and, where there is no near word or few words, all of them.

    Args:
        word: What was given.
        allowed: What may be given.
        label: What the words are, put before them.
    """
    hint = nearest(word, allowed)
    if hint and len(allowed) > FEW:
        return hint
    return f"{hint} {label}: {', '.join(allowed)}"


def nearest(word: str, allowed: list[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest allowed word, or an empty string."""
    import difflib

    matches = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""
