"""The KFP component of a stage, loaded from its derived source."""

import sys
import tempfile
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import refine_af
from refine_af.contracts.stage import Stage
from refine_af.targets.kfp_source import component_source


@cache
def kfp_component(stage: Stage) -> Any:  # noqa: ANN401  kfp's components are untyped
    """Return the component that ``components/<stage>/component.py`` defines.

    It is made from the registry, so an installed package needs no ``components`` folder.
    kfp reads the source of the function, hence the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "component.py"
        path.write_text(component_source(stage, refine_af.__version__), encoding="utf-8")
        spec = spec_from_file_location(f"{__name__}.{stage.name}", path)
        assert spec is not None  # noqa: S101  the file was just written
        assert spec.loader is not None  # noqa: S101
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return getattr(module, stage.name)
