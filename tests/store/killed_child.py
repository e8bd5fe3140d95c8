"""A process to be killed: it marks, settles and appends without end, and says what it has done.

Each line on stdout is written after the call it speaks of has returned, so that whatever is said
must be found again.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from sample_entries import attempt, call, entry, open_call

from gateway.core.database_url import DatabaseUrl
from gateway.core.outcome import Outcome
from gateway.store.store import open_store


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(path, spool, name, seed):
    chance = random.Random(seed)
    place = DatabaseUrl(path) if "://" in path else Path(path)
    store = open_store(place, spool_folder=Path(spool), segment_bytes=20_000)
    journal = store.journal
    waiting = []
    for number in range(1_000_000):
        calls, slots = [], []
        entry_id = f"{name}-{number}"
        for which in range(chance.choice((1, 1, 2))):
            asked = open_call(f"{name}-{number}-{which}", entry_id)
            slots.append(journal.open(asked))
            say("open", asked.call_id)
            calls.append(replace(call(), call_id=asked.call_id))
        waiting.append((entry_id, calls, slots))
        chance.shuffle(waiting)
        while len(waiting) > chance.randrange(8):
            finish(journal, *waiting.pop())


def finish(journal, entry_id, calls, slots):
    for slot, each in zip(slots, calls, strict=True):
        journal.settle(slot, each)
        say("settled", each.call_id, each.cost.total)
    tried = attempt(calls=tuple(calls))
    kept = entry(Outcome(attempts=(tried,), served=tried))
    kept = replace(kept, origin=replace(kept.origin, entry_id=entry_id))
    journal.append(kept, tuple(slots))
    say("kept", entry_id)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
