"""The main job as a user runs it: how long, how much memory, what it reaches, twice the same.

Writes its rows, the pictures of ``docs/pictures`` and the tables in both README files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from bench.rows import Row, publish
from upwell.interfaces.report.gather import gather, past
from upwell.interfaces.report.story import Story
from upwell.store.project import open_project
from upwell.tables import moment

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
SECONDS, GIB, RUNS = 180.0, 2.0, 2
HEADS = {
    "en": ("turn", "NDCG@10", "gain", "95 % interval", "popular", "popular of late", "decision"),
    "zh": ("轮次", "NDCG@10", "提升", "95 % 区间", "热门", "近期热门", "决定"),
}
ACTS = {
    "en": {"promote": "promoted", "hold": "held", "reject": "rejected"},
    "zh": {"promote": "上线", "hold": "暂缓", "reject": "拒绝"},
}
TOLD = {
    "en": "`make demo`: MovieLens-100K replayed in time order, {users} users of the frozen part, "
    "{seconds:.0f} s on two cores. Every model is judged on the same later part of time, which no "
    "turn trains on or chooses by. Defaults of the model were chosen on other splits of the same "
    "public data, which overlap it.",
    "zh": "`make demo`：按时间顺序重放 MovieLens-100K，冻结部分共 {users} 名用户，两个核心用时 "
    "{seconds:.0f} 秒。所有模型都在同一段更晚的时间上评判，任何一轮都不在其上训练或选择。"
    "模型的默认值是在同一公开数据的其他划分上选定的，这些划分与之有重叠。",
}


def run(folder: Path) -> tuple[float, float]:
    """Wall seconds and peak memory (GiB) of one demo, made in ``folder``."""
    command = [
        sys.executable,
        "-m",
        "upwell.interfaces.cli",
        "demo",
        "--folder",
        str(folder),
        "--json",
    ]
    began = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the demo ended with status {status}")
    return perf_counter() - began, usage.ru_maxrss / 2**20


def outcome(folder: Path) -> tuple[Story, dict[str, Any]]:
    """The story of a finished demo, and all that the same seed must repeat."""
    project = open_project(folder)
    turns = past(project, project.settings.project.task)
    repeated = {
        one.turn.id: (one.stages["dataset"]["snapshot"], one.report.metrics) for one in turns
    }
    return gather(project, moment(0)), repeated


def rows_of(story: Story) -> list[Row]:
    """One row a turn: the value with its interval, and the gain over the model before."""
    rows = []
    for turn in story.turns:
        value, label = turn.metric, f"turn {turn.number} {story.metric}"
        rows.append(Row(label, value.value, value.value_low, value.value_high))
        for name, reached in turn.baselines.items():
            rows.append(Row(f"turn {turn.number} {name}", reached))
        if value.gain is not None:
            gain = f"turn {turn.number} gain, {turn.act}"
            rows.append(Row(gain, value.gain, value.low, value.high))
    return rows


def table(story: Story, seconds: float, lang: str) -> str:
    """The README's picture, sentence and table."""
    heads = HEADS[lang]
    lines = [
        f"![{heads[1]}](docs/pictures/quality.{lang}.svg)",
        "",
        TOLD[lang].format(users=story.turns[0].metric.n, seconds=seconds),
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
    ]
    for turn in story.turns:
        value, known = turn.metric, turn.baselines
        gain, interval = "", ""
        if value.gain is not None:
            gain, interval = f"{value.gain:+.4f}", f"{value.low:+.4f} … {value.high:+.4f}"
        cells = (
            str(turn.number), f"{value.value:.4f}", gain, interval, f"{known['popular']:.4f}",
            f"{known['recent_popular']:.4f}", ACTS[lang].get(turn.act, turn.act),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fill(path: Path, block: str) -> None:
    """Put ``block`` between the markers of a README."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the demo twice, compare, and write everything."""
    with TemporaryDirectory() as name:
        folders = [Path(name) / f"run-{number}" for number in range(RUNS)]
        took = [run(folder) for folder in folders]
        told = [outcome(folder) for folder in folders]
        story, seconds = told[0][0], max(seconds for seconds, _ in took)
        PICTURES.mkdir(exist_ok=True)
        for picture in (folders[0] / "report" / "pictures").glob("*.svg"):
            shutil.copy(picture, PICTURES / picture.name)
    for lang, path in READMES.items():
        fill(path, table(story, seconds, lang))
    peak = max(gib for _, gib in took)
    same = json.dumps(told[0][1], default=str) == json.dumps(told[1][1], default=str)
    rows = rows_of(story)
    rows.append(Row("seconds", seconds, None, None, f"at most {SECONDS:g}", seconds <= SECONDS))
    rows.append(Row("peak memory, GiB", peak, None, None, f"at most {GIB:g}", peak <= GIB))
    rows.append(Row("same seed, same snapshots and numbers", float(same), None, None, "1", same))
    publish("demo", rows)


if __name__ == "__main__":
    main()
