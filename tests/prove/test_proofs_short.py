"""The slow proofs in their short forms: real processes, real sockets, nothing timed closely."""

from __future__ import annotations

import pytest

from loadtests import (
    chaos,
    ending,
    holds,
    kill,
    leaks,
    overload,
    promise,
    reconcile,
    share,
    speculation,
    start,
)
from loadtests.others import churn

pytestmark = pytest.mark.live


def told(proof):
    """What a failing test shows."""
    broken = [sentence for sentence, held in proof.promises if not held]
    return broken, proof.faults, proof.figures


async def test_no_byte_of_a_deferred_draft_reaches_a_client(tmp_path):
    proof = await leaks.prove(tmp_path, requests=60, strict=False)
    assert proof.holds, told(proof)


async def test_metrics_ledger_and_the_upstreams_logs_agree(tmp_path):
    proof = await reconcile.prove(tmp_path, requests=180, outage=1.0)
    assert proof.holds, told(proof)


async def test_a_kill_loses_no_call(tmp_path):
    proof = await kill.prove(tmp_path, requests=120, kills=2)
    assert proof.holds, told(proof)


async def test_nor_does_a_kill_of_a_worker(tmp_path):
    proof = await kill.prove(tmp_path, requests=120, kills=2, workers=2)
    assert proof.holds, told(proof)


async def test_random_faults_leave_nothing_behind(tmp_path):
    proof = await chaos.prove(tmp_path, minutes=0.25, rate=30.0)
    assert proof.holds, told(proof)


async def test_sigterm_loses_no_stream(tmp_path):
    proof = await ending.prove(tmp_path, streams=60, drain=3.0)
    assert proof.holds, told(proof)


async def test_a_flood_is_turned_away(tmp_path):
    proof = await overload.prove(tmp_path, seconds=2.0, strict=False)
    assert proof.holds, told(proof)


async def test_it_starts_answers_and_stops(tmp_path):
    proof = await start.prove(tmp_path, starts=1, strict=False)
    assert proof.holds, told(proof)


async def test_cancelled_calls_leave_the_pool_as_good_as_new(tmp_path):
    proof = await churn(tmp_path, cancels=500)
    assert proof.holds, told(proof)


async def test_thresholds_send_up_the_share_they_say(tmp_path):
    proof = await share.prove(tmp_path, fresh=1000, learnt=600, within=0.06)
    assert proof.holds, told(proof)


async def test_a_promised_quality_is_kept(tmp_path):
    proof = await promise.prove(tmp_path, rows=3000, splits=20)
    assert proof.holds, told(proof)


async def test_real_models_answer_as_well_under_every_hold(tmp_path):
    proof = await holds.prove(tmp_path, count=300)
    assert proof.holds, told(proof)


async def test_speculation_is_in_the_ledger(tmp_path):
    proof = await speculation.prove(tmp_path, requests=16, strict=False)
    assert proof.holds, told(proof)
