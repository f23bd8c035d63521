"""REFINE-AF: instruction data and fine-tuned small LLMs from automated feedback."""

import os

__version__ = "0.1.0"

# Before any library that reads them is imported: nothing reports on its users.
for _name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "VLLM_NO_USAGE_STATS"):
    os.environ.setdefault(_name, "1")
