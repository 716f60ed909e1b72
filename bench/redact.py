"""Redaction: what is found, what is found wrongly, and how fast; Presidio beside it.

English sentences are those of Presidio's own generator and judged by its own evaluator; Chinese
ones are filled into two sets of templates (see `bench.redaction.wording` for which of them the
rules were looked at beside), and names are looked for in real résumés and reviews too. The model
tier is Upwell's tagger, trained here on CoNLL-2003 and kept in the cache.

    python -m bench.redact [--epochs 3] [--documents N] [--without-model]
"""

from __future__ import annotations

import argparse
from time import process_time

from bench.redaction import chinese, english, names, presidio
from bench.redaction.sentences import sentences
from bench.redaction.tagger import tagger
from bench.redaction.wording import HELD_OUT
from bench.rows import Row, publish, render
from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.model import token_classifier
from upwell.stages.protect.redact.redactor import Redactor

KEY = bytes(32)
SPEED = 2000.0
LENGTH = 10_000
REPEATS = 5
"""Runs of a hostile text, of which the fastest counts: what else runs only adds."""
_HOSTILE = tuple(
    (piece * LENGTH)[:LENGTH]
    for piece in (
        "a@", "1-", "1 ", "a.", "http://a", "张", "北京市", "12 Main ", "Mr. ", "A ", "My name is ",
        "[", "eyJ", "-----BEGIN RSA PRIVATE KEY-----", "password:", ":", "::1", "1.1.1.", "微信",
        "我叫王", "一", "GB82", "a_", "?token=", "(", "A. ", "12 Ab ", "address is 1", "1号", "路",
        "00", "+1", "x", "1x", "住在", "Via A ", "www.", "1 street ", "王小明", "Jan 1 ", "a-",
        "..@",
    )
)  # fmt: skip
"""Texts that make a careless pattern go back again and again."""
LONGEST = 0.05


def main() -> None:
    """Run, print, and write ``results/redact.json`` unless told to leave something out."""
    given = _given()
    usual = Redactor(KEY, ProtectSettings().off)
    rows = [*_speeds(usual), _hostile(usual)]
    rows += [chinese.false_positives(usual, given.numbers, given.seed)]
    rows += chinese.rows(usual, given.sentences, given.seed)
    rows += names.rows(usual, given.sentences, given.seed)
    print(render(rows), flush=True)
    detect = None
    if not given.without_model:
        detect = token_classifier(str(tagger(given.epochs, given.documents)))
    rows += english.rows(KEY, given.english, given.seed, detect)
    if given.without_model:
        print(render(rows))
        return
    publish("redact", rows)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3, help="on CoNLL-2003, for the model tier")
    parser.add_argument("--documents", type=int, default=0, help="of CoNLL-2003; 0: all")
    parser.add_argument("--numbers", type=int, default=100_000)
    parser.add_argument("--sentences", type=int, default=3000, help="Chinese ones")
    parser.add_argument("--english", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--without-model", action="store_true", help="rules alone; writes nothing")
    return parser.parse_args()


def _speeds(redactor: Redactor) -> list[Row]:
    """Messages a CPU second, in English and Chinese; Presidio's on the English ones."""
    messages = [str(one["text"]) for one in presidio.made(3000, 1)]
    short = [one for one in messages if len(one) <= 200][:1500]
    made = []
    for name, texts in (("en", short), ("zh", [one.text for one in sentences(HELD_OUT, 1500, 1)])):
        began = process_time()
        redactor.redact(texts)
        speed = len(texts) / (process_time() - began)
        made.append(
            Row(
                f"{name} messages a second and core, rules",
                speed,
                target=f"at least {SPEED:g}",
                holds=speed >= SPEED,
            )
        )
    _, seconds = presidio.analysed(short[:500])
    return [*made, Row("en messages a second and core, Presidio", len(short[:500]) / seconds)]


def _hostile(redactor: Redactor) -> Row:
    """The longest that a hostile text of some 10,000 characters takes, in CPU seconds."""
    longest = 0.0
    for text in _HOSTILE:
        longest = max(longest, min(_seconds(redactor, text) for _ in range(REPEATS)))
    return Row(
        "hostile text, seconds at most",
        longest,
        target=f"at most {LONGEST:g}",
        holds=longest <= LONGEST,
    )


def _seconds(redactor: Redactor, text: str) -> float:
    began = process_time()
    redactor.found([text])
    return process_time() - began


if __name__ == "__main__":
    main()
