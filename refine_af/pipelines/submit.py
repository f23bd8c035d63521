"""Starts a run on a KFP server through its API."""

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DependencyError

TOKEN_VARIABLE = "KFP_TOKEN"  # noqa: S105  a variable's name


@dataclass(frozen=True)
class Server:
    """Where to submit.

    Attributes:
        host: Address of the KFP API, such as ``https://kubeflow.example/pipeline``.
        ui_host: Address that people open; empty: the same.
        namespace: The user's namespace on a server for several users; empty: the server's.
        service_account: Of the run's pods; empty: the server's.
    """

    host: str
    ui_host: str = ""
    namespace: str = ""
    service_account: str = ""


def submit(server: Server, package: Path, name: str, experiment: str, root: str) -> str:
    """Start a run of a compiled pipeline and return the link of its page.

    Args:
        server: Where.
        package: The IR YAML; its defaults are the run's parameters.
        name: What the run is called.
        experiment: Made if it is not there.
        root: Where the server keeps artifacts; empty: its default.

    Raises:
        DependencyError: When the server cannot be reached or refuses; says what it answered.
    """
    import kfp_server_api
    import urllib3
    from kfp.client import Client

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the client prints links of its own
            client = Client(
                host=server.host,
                existing_token=os.environ.get(TOKEN_VARIABLE),
                namespace=server.namespace or "kubeflow",
            )
            run = client.create_run_from_pipeline_package(
                str(package),
                run_name=name,
                experiment_name=experiment,
                namespace=server.namespace or None,
                pipeline_root=root or None,
                service_account=server.service_account or None,
            )
    except kfp_server_api.ApiException as error:
        raise DependencyError(
            f"{server.host}: answered {error.status} {error.reason}: {error.body}; check the"
            f" address, --namespace and the token in {TOKEN_VARIABLE}"
        ) from None
    except (urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
        raise DependencyError(
            f"{server.host}: cannot be reached ({error}); is it the address of the KFP API?"
        ) from None
    return f"{(server.ui_host or server.host).rstrip('/')}/#/runs/details/{run.run_id}"
