"""How a GGUF file becomes a safetensors checkpoint.

Run as `python -m agentopt.llm.convert GGUF FOLDER`, so that the process that wants the model never loads torch.
"""

from __future__ import annotations

import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REFUSED = 3
"""The exit code where the file is at fault, not the conversion: the last line says why."""
NEEDED = ("torch", "transformers", "gguf", "accelerate")


def missing_packages() -> list[str]:
    """Returns the packages that a conversion needs and this environment lacks."""
    return [name for name in NEEDED if find_spec(name) is None]


def hide_broken_vision() -> None:
    """Hides torchvision and its kin where they cannot be loaded, for transformers loads them for text models as well.

    A torchvision built for another torch raises a RuntimeError when imported. A name that maps to None in
    `sys.modules` counts as not installed.
    """
    for name in ("torchvision", "torchaudio", "torchcodec"):
        if name in sys.modules or find_spec(name) is None:
            continue
        try:
            __import__(name)
        except Exception:
            for loaded in [module for module in sys.modules if module.startswith(f"{name}.")]:
                del sys.modules[loaded]
            sys.modules[name] = None  # type: ignore[assignment]


def convert(gguf: Path, folder: Path) -> None:
    """Writes the weights in bfloat16 and the tokenizer of a GGUF file to `folder`."""
    hide_broken_vision()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer: Any = AutoTokenizer.from_pretrained(**where)
    model: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16)
    # The weights are plain tensors by now, but transformers refuses to save a model that says it is quantised.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def main(gguf: Path, folder: Path) -> int:
    """Converts a file and returns the exit code; what is wrong with the file is the last line on stderr."""
    try:
        convert(gguf, folder)
    except (ValueError, LookupError, struct.error) as error:  # what transformers raises for files that it cannot read
        why = " ".join(str(error).split()).rstrip(".")
        fix = "Another program may serve it, such as llama.cpp's: give the address of that with --base-url."
        if "not supported" not in why:
            fix = "Where the file is cut off or damaged, get it again."
        sys.stderr.write(f"\n{why}. {fix}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
