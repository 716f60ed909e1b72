"""A version for others: its folder in Hugging Face layout, with a card that says what it is.

The card holds names, settings, counts and measured numbers; nothing that a user wrote or did, and
no name of a group of users.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upwell import __version__
from upwell.errors import StoreError
from upwell.records import Decision, Json, Metric, ModelVersion, Report
from upwell.stages.release.explain import sentence
from upwell.store.files import full_disk_told, publish, staging
from upwell.store.project import Project
from upwell.wiring.exporting import Folder
from upwell.wiring.judging import WHOLE
from upwell.words import say

CARD = "README.md"
_PIPELINES = {
    "chat": "text-generation", "text_classification": "text-classification",
    "tagging": "token-classification", "tabular": "tabular-classification",
}  # fmt: skip
_SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
_BASES = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
_TALKING = {"minilm": _SMOLLM2, "smollm2": _SMOLLM2}
_SHOWN = ("train", "validation", "test", "labels", "positive", "negative", "context")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a version: where it is from, what was measured and decided."""

    version: ModelVersion
    counts: Mapping[str, int]
    report: Report | None
    decisions: Sequence[Decision]
    is_redacted: bool = True


def origin_of(project: Project, version: ModelVersion) -> Origin:
    """What the project knows of a version; counts are empty where its snapshot is gone.

    The report is the one that was decided by, and not that over the first version.
    """
    reports = [
        one for one in project.ledger.reports(version.task)
        if one.challenger == version.id and not one.id.endswith(WHOLE)
    ]  # fmt: skip
    acts = [one for one in project.ledger.decisions(version.task) if one.model == version.id]
    redacts = project.settings.protect.redact
    try:
        counts = project.snapshots.snapshot(version.snapshot).counts
    except StoreError:
        counts = {}
    return Origin(version, counts, reports[-1] if reports else None, acts, redacts)


def give(folder: Folder, card: str, out: Path) -> None:
    """Copy a version's folder to ``out`` with its card, whole or not at all. Links stay behind."""
    with full_disk_told(), staging(out.absolute().parent) as aside:
        made = aside / "model"
        shutil.copytree(folder.path, made, ignore=_links)
        (made / CARD).write_text(card, encoding="utf-8")
        publish(made, out)


def card(told: Origin, folder: Folder, license: str, languages: Sequence[str], lang: str) -> str:
    """The text of ``README.md``: a head of YAML for the hub, and what people read, in ``lang``."""
    library = library_of(folder.path)
    head = {
        name: value for name, value in _head(told, library, license, languages).items() if value
    }
    # JSON is YAML, and is written the same whatever the values hold.
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()]
    parts = [
        *_warnings(folder, lang),
        say("card.about", lang, task=told.version.task, upwell=__version__),
        *_section("use", [say(f"card.use.{library}", lang, version=told.version.id)], lang),
        *_section("lineage", _lineage(told.version, lang), lang),
        *_section("data", _data(told, lang), lang),
        *_section("results", _results(told.report, lang), lang),
        *_section("decision", _decided(told.decisions, lang), lang),
        *_section("privacy", [_privacy(told.version, lang)], lang),
    ]
    return "\n".join(["---", *lines, "---", "", f"# {told.version.id}", "", "\n\n".join(parts), ""])


def library_of(folder: Path) -> str:
    """What loads a folder: ``peft``, ``transformers``, or ``upwell`` where it has parts of its own.

    A model that does a task by itself is called so (``BertForTokenClassification``,
    ``GPT2LMHeadModel``); a bare encoder does none without the head that Upwell puts beside it.
    """
    if (folder / "adapter_config.json").is_file():
        return "peft"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kinds = [str(kind) for kind in config.get("architectures") or ()]
    except (OSError, ValueError, AttributeError, TypeError):
        return "upwell"
    is_whole = any(mark in kind for kind in kinds for mark in ("For", "LMHead"))
    return "transformers" if is_whole else "upwell"


def _head(told: Origin, library: str, license: str, languages: Sequence[str]) -> dict[str, object]:
    version, base = told.version, str(told.version.recipe.get("base") or "")
    # A folder is a place on somebody's machine, which is nobody else's business.
    known = _TALKING if version.task == "chat" else _BASES
    is_hub = base.count("/") == 1 and not Path(base).expanduser().exists() and base[0] not in ".~/"
    return {
        "license": license or "unknown",
        "language": list(languages),
        "base_model": known.get(base, base if is_hub else ""),
        "library_name": library,
        "pipeline_tag": _PIPELINES.get(version.task, ""),
        "tags": ["upwell", version.task],
        "model-index": _index(told) if told.report else [],
    }


def _index(told: Origin) -> list[dict[str, Any]]:
    """Results as the hub reads them."""
    version, snapshot = told.version, told.version.snapshot[:12]
    result = {
        "task": {"type": _PIPELINES.get(version.task, "other"), "name": version.task},
        "dataset": {"type": "upwell-snapshot", "name": f"frozen test of {snapshot}"},
        "metrics": [
            {"type": one.name, "name": one.name, "value": one.value, "args": _bounds(one)}
            for one in _measured(told.report)
        ],
    }
    return [{"name": version.id, "results": [result]}]


def _measured(report: Report | None) -> list[Metric]:
    """The version's own metrics; those against baselines have their rival in brackets."""
    return [one for one in report.metrics if "[" not in one.name] if report else []


def _bounds(metric: Metric) -> dict[str, Json]:
    return {"low": metric.value_low, "high": metric.value_high, "n": metric.n}


def _warnings(folder: Folder, lang: str) -> list[str]:
    found = [say("card.damaged", lang, file=folder.damaged)] if folder.damaged else []
    return [*found, *([say("card.tainted", lang)] if folder.is_tainted else [])]


def _section(name: str, parts: Sequence[str], lang: str) -> list[str]:
    return [f"## {say(f'card.{name}', lang)}", *parts]


def _lineage(version: ModelVersion, lang: str) -> list[str]:
    base = version.recipe.get("base")
    recipe = {**version.recipe, "base": Path(base).name if isinstance(base, str) else base}
    facts = [
        ("at", f"{version.at:%Y-%m-%d %H:%M} UTC"),
        ("parent", version.parent or "–"),
        ("snapshot", version.snapshot),
        ("digest", version.digest),
    ]
    rows = [(say(f"cli.models.{name}", lang), f"`{value}`") for name, value in facts]
    written = json.dumps(recipe, ensure_ascii=False, sort_keys=True, indent=1)
    return [_table(("", ""), rows), say("card.recipe", lang), f"```json\n{written}\n```"]


def _data(told: Origin, lang: str) -> list[str]:
    protected = say("card.redacted" if told.is_redacted else "card.not_redacted", lang)
    if not told.counts:
        return [say("card.no_counts", lang), protected]
    rows = [(say(f"card.rows.{name}", lang), f"{told.counts.get(name, 0):,}") for name in _SHOWN]
    return [_table((say("card.rows", lang), ""), rows), say("card.protected", lang), protected]


def _results(report: Report | None, lang: str) -> list[str]:
    if report is None:
        return [say("card.no_report", lang)]
    heads = [say(f"card.{name}", lang) for name in ("metric", "value", "interval", "gain", "n")]
    rows = [
        (
            one.name,
            f"{one.value:.4f}",
            _between(one.value_low, one.value_high),
            "–" if one.gain is None else f"{one.gain:+.4f} ({_between(one.low, one.high)})",
            f"{one.n:,}",
        )
        for one in _measured(report)
    ]
    return [_table(heads, rows), say("card.measured", lang, champion=report.champion or "–")]


def _between(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.4f} … {high:.4f}"


def _decided(decisions: Sequence[Decision], lang: str) -> list[str]:
    """What was decided and why, without names of groups of users."""
    parts = []
    for one in decisions:
        reasons = [{**why, **({"group": "…"} if "group" in why else {})} for why in one.reasons]
        listed = "\n".join(f"* {sentence(why, lang)}" for why in reasons)
        parts += [say(f"release.{one.act}", lang, model=one.model), listed]
    return [part for part in parts if part] or [say("card.undecided", lang)]


def _privacy(version: ModelVersion, lang: str) -> str:
    if version.epsilon is None:
        return say("card.no_epsilon", lang)
    return say("card.epsilon", lang, epsilon=f"{version.epsilon:g}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_symlink()]
