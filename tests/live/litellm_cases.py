"""Run by a Python that has litellm and nothing of ours: prices calls by litellm's own calculator.

Reads cases as JSON from standard input, [model, provider, usage by our names]; answers with the
dollars of each, or with what was raised, and with where the price file is.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: TID251 (this is the file that it gets, in a process of its own)
from litellm.cost_calculator import (  # noqa: TID251
    batch_cost_calculator,
    cost_per_token,
)
from litellm.types.utils import (  # noqa: TID251
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

FILE = "model_prices_and_context_window_backup.json"


def usage_of(said):
    kept = said["cache_write_1h"]
    written = {
        "cache_creation_tokens": said["cache_write"],
        "cache_creation_token_details": CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=said["cache_write"] - kept, ephemeral_1h_input_tokens=kept
        ),
    }
    return Usage(
        prompt_tokens=said["prompt"],
        completion_tokens=said["completion"],
        total_tokens=said["prompt"] + said["completion"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=said["cached"],
            audio_tokens=said["audio_input"],
            image_tokens=said["image_input"],
            **(written if said["cache_write"] else {}),
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(
            reasoning_tokens=said["reasoning"],
            audio_tokens=said["audio_output"],
            image_tokens=said["image_output"],
        ),
    )


def price(model, provider, said):
    usage = usage_of(said)
    if said["service"] == "batch":
        return sum(batch_cost_calculator(usage, model, provider))
    tier = said["service"] or None
    known = {"model": model, "custom_llm_provider": provider, "service_tier": tier}
    return sum(cost_per_token(usage_object=usage, **known))


def main():
    with contextlib.redirect_stdout(sys.stderr):  # litellm has things to say
        told = answers()
    sys.stdout.write(json.dumps(told))


def answers():
    costs = []
    for case in json.load(sys.stdin):
        try:
            costs.append(price(*case))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the answer)
            costs.append(f"{type(error).__name__}: {error}"[:200])
    file = Path(litellm.__file__).with_name(FILE)
    version = importlib.metadata.version("litellm")
    return {"version": version, "file": str(file), "costs": costs}


main()
