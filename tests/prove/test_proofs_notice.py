"""A proof that cannot fail proves nothing: each judge is shown what it must notice."""

from __future__ import annotations

from collections import defaultdict

import pytest

from loadtests import leaks, promise, share
from loadtests.harness import Answer, Proof, ProofError
from loadtests.live import Look
from loadtests.others import tell_demo
from loadtests.prove import PAGE, PROOFS, put, section
from router_models.difficulty.thresholds import Choice

# ------------------------------------------------------------------ leaks


def stream(text):
    chunk = f'{{"choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}'
    return Answer(200, {}, f"data: {chunk}\n\ndata: [DONE]\n\n".encode(), whole=True)


def tries(*tiers):
    """The attempts of one request: the last tier served."""
    return [
        {"tier": tier, "served": tier == tiers[-1], "released": 0, "left": tier != tiers[-1]}
        for tier in tiers
    ]


def bytes_judged(text, *tiers):
    proof = Proof("leaks")
    leaks._judge_bytes(proof, {"r": stream(text)}, {"r": tries(*tiers)})
    return proof.holds


@pytest.mark.parametrize("draft", ["Q", "ZXQQXZ", "sorry"])
def test_one_letter_of_a_draft_is_a_leak(draft):
    assert bytes_judged("HJYHJY", "small", "large")
    assert not bytes_judged(f"HJY{draft}HJY", "small", "large")
    assert not bytes_judged(f"{draft}", "small", "large")


def endings_judged(body, fault=None):
    proof = Proof("leaks")
    answer = Answer(200, {}, body, whole=True)
    lines = {("r", "large"): {"fault": fault}}
    leaks._judge_endings(proof, {"r": answer}, {"r": tries("large")}, lines)
    return proof.holds


def test_a_second_done_a_missing_one_and_one_after_a_failure_are_noticed():
    whole = stream("HJY" * 10).body
    error = b'event: error\ndata: {"error": {"code": "stream_broken"}}\n\n'
    start = whole.removesuffix(b"data: [DONE]\n\n")
    assert endings_judged(whole)
    assert endings_judged(start + error, "stall")
    assert not endings_judged(whole + b"data: [DONE]\n\n")
    assert not endings_judged(start)
    assert not endings_judged(start + error)
    assert not endings_judged(start + error + b"data: [DONE]\n\n", "stall")
    assert not endings_judged(stream("").body)


def closes_judged(*, strict=True, **line):
    proof = Proof("leaks")
    known = {"outcome": "closed_by_peer", "fault": "stall", "closed_after_ms": 5.0} | line
    arriving = known | {"fault": None, "tokens": 9, "seconds": 0.2} | line
    lines = {("r", "small"): known, ("s", "small"): arriving}
    both = {name: tries("small", "large") for name in "rs"}
    leaks._judge_closes(proof, both, lines, strict=strict)
    return proof.holds


def test_a_late_close_and_none_at_all_are_noticed():
    assert closes_judged()
    assert not closes_judged(closed_after_ms=150.0)
    assert closes_judged(closed_after_ms=150.0, strict=False)
    never = {"outcome": "complete", "fault": None, "closed_after_ms": None, "seconds": 0.8}
    assert not closes_judged(**never, tokens=leaks.HOLD + 31)


def test_tokens_written_after_the_verdict_count():
    line = {"fault": None, "closed_after_ms": 4.0, "seconds": 0.504, "tokens": leaks.HOLD + 16}
    assert leaks._after_the_verdict(line) == pytest.approx(4 + 16 * 20)


# ------------------------------------------------------------------ thresholds


def share_judged(up, of=1000, start=1000):
    proof = Proof("share")
    load = share.Load(None, "target", up=[True] * start + [n < up for n in range(of)])
    share.judge_share(proof, "target", load, start, share.WITHIN)
    return proof.holds


def test_a_share_that_is_off_is_noticed_and_what_came_before_does_not_count():
    assert share_judged(200)
    assert share_judged(229)
    assert not share_judged(231)
    assert not share_judged(169)
    with pytest.raises(ProofError, match="answered nothing"):
        share_judged(0, of=0)


def looks_judged(*seen):
    proof = Proof("share")
    looks = [(at, Look(threshold, 0.5, *where)) for at, threshold, *where in seen]
    share.judge_looks(proof, "target", looks)
    return proof.holds


def test_a_file_too_small_to_prove_a_share_is_named(tmp_path, monkeypatch, capsys):
    path = tmp_path / "few.csv"
    rows = "".join(f"question {number},0,1\n" for number in range(700))
    path.write_text(f"prompt,weak_score,strong_score\n{rows}")
    monkeypatch.setattr("sys.argv", ["share", "--data", str(path)])
    with pytest.raises(SystemExit) as ended:
        share.main()
    assert ended.value.code == 2
    assert "700 rows are too few" in capsys.readouterr().err


def test_a_threshold_that_jumps_or_falls_back_is_noticed():
    start, first = (0, 0.8, "start", "artefact"), (1, 0.3, "share", "artefact")
    own = [(at, 0.79 + at / 1000, "share", "own") for at in range(2, 6)]
    assert looks_judged(start, first, *own)
    assert looks_judged(start, first, own[0], (3, *first[1:]), *own[1:]), "the other worker's"
    assert not looks_judged(start, first, own[0], (4, *first[1:]), *own[2:])
    assert not looks_judged(start, first, own[0], (3, *start[1:]), *own[1:])
    assert not looks_judged(start, first, *own, (6, 0.7, "share", "own"))
    assert not looks_judged(start, first), "it was never fitted"


def promises_judged(average=0.951, sure=(0.96,) * 50, kind="plug-in"):
    proof, choice = Proof("promise"), Choice(0.5, kind, 9)
    kept = [promise.Kept(average + 0.001 * (n % 2), 0.5) for n in range(50)]
    promise._hold(proof, kept, [promise.Kept(each, 0.5) for each in sure], [choice])
    return proof.holds


def test_a_broken_promise_and_one_that_is_none_are_noticed():
    assert promises_judged()
    assert not promises_judged(average=0.948)
    assert promises_judged(sure=(0.94,) * 9 + (0.96,) * 41)
    assert not promises_judged(sure=(0.94,) * 10 + (0.96,) * 40)
    assert not promises_judged(kind="expectation")


def test_what_is_served_is_the_strong_reply_from_the_threshold_on():
    cases = [promise.Case(n / 10, 0.0, 1.0) for n in range(10)]
    for threshold, part in ((0.8, 0.2), (0.0, 1.0), (1.0, 0.0), (None, 1.0)):
        kept = promise._kept(Choice(threshold, "expectation", 9), cases)
        assert (kept.quality, kept.share) == pytest.approx((part, part))


# ------------------------------------------------------------------ the demo, the page

TABLE = """Two tiny models (real), a gateway in front, 1,000 questions with known answers.
 from the ledger               right      cost   of large   sent up      p50      p95
 small, plain recipe      63.4% ±3.0   $0.0062         6%         -    11 ms    24 ms
 small, better recipe     70.7% ±2.8   $0.0098         9%         -    23 ms    57 ms
 large alone              94.8% ±1.4   $0.1113       100%         -    19 ms    54 ms
 waterfall, judged only   94.5% ±0.5   $0.0606        54%       50%   199 ms   574 ms
 waterfall                94.1% ±0.3   $0.0611        55%       50%   180 ms   327 ms
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1,000 questions", "900 questions"),
        ("94.8%", "89.8%"),
        ("70.7%", "80.7%"),
        ("94.1%", "93.7%"),
        ("       55%", "       71%"),
        ("63.4%", "70.7%"),
    ],
)
def test_a_demo_that_does_not_keep_its_word_is_noticed(old, new):
    kept, broken = Proof("demo"), Proof("demo")
    tell_demo(kept, TABLE)
    tell_demo(broken, TABLE.replace(old, new))
    assert (kept.holds, broken.holds) == (True, False)


def test_a_demo_without_its_table_is_no_proof():
    with pytest.raises(ProofError, match="no table"):
        tell_demo(Proof("demo"), "1,000 questions and a traceback")


def test_a_proof_without_a_promise_holds_nothing():
    assert not Proof("empty").holds


def test_the_page_has_a_place_for_each_proof_and_keeps_the_others():
    page = PAGE.read_text("utf-8")
    proof = Proof("kill", [("it holds", True)], {"kills": "8"})
    for name in PROOFS:
        told = section("A title", proof, 1.0, (0.5, 0.6))
        changed = put(page, name, told)
        assert put(changed, name, told) == changed
        others = defaultdict(str)
        for each in (page, changed):
            before, _, rest = each.partition(f"<!-- {name} -->\n")
            others[before + rest.partition(f"<!-- /{name} -->")[2]] += each
        assert len(others) == 1
        assert "| kills | 8 |" in changed
    with pytest.raises(ValueError, match="no markers"):
        put("nothing", "kill", "x")
