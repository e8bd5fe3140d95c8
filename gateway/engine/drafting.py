"""One call to one tier: from its first byte to its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.accepts import dropped
from gateway.core.cascade import may_escalate, worth_buying
from gateway.core.chat import CHARS_PER_TOKEN, ChatRequest, Delta, Reply
from gateway.core.dispatch import dispatch
from gateway.core.early import Watch
from gateway.core.errors import UNBILLED, UpstreamError, UpstreamTimeout
from gateway.core.gate import Gate, says_something
from gateway.core.judging import unheld, weigh
from gateway.core.money import Usage, new_usage
from gateway.core.outcome import Attempt, Outcome, new_attempt
from gateway.core.plan import Tier
from gateway.core.ports import new_upstream_call
from gateway.core.routing import recipe_tokens, reply_tokens
from gateway.core.signals import text_of
from gateway.core.streaming import DATA
from gateway.core.verdict import EARLY, FALL_DOWN, Early, Evidence, Finding, Verdict
from gateway.engine.book import Book, Status
from gateway.engine.lane import Lane
from gateway.engine.state import Run


class Drafting:
    """One call to one tier, from its first byte to its record. A `lane` is where it waits when it
    runs beside another one."""

    def __init__(
        self,
        run: Run,
        tier: Tier,
        bare: bool,
        request: ChatRequest | None = None,
        lane: Lane | None = None,
    ) -> None:
        """`request` is what to send, where that is not the client's own (a repair)."""
        self._lane, self._seen, self._ended = lane, False, False
        self._is_out = self.flows = False
        self._ready: list[Delta] = []
        """What may leave, as soon as somebody can wait for it."""
        self._run, self._tier, self._bare = run, tier, bare
        self._parts, self._job = run.parts, run.job
        plan, asked = self._job.plan, self._job.request
        self._request = request or asked
        judges = plan.judges(tier)
        escalated = plan.escalates_to(tier)
        self._sent = dispatch(
            tier,
            self._request,
            judged=judges,
            marker=self._parts.marker,
            bare=bare,
            escalated=escalated,
        )
        self._prefix: tuple[Evidence, ...] = ()
        self._judged: Verdict | None = None
        self._begun, self._paused = self._parts.clock(), run.paused
        self._prompt = self._prompt_estimate(escalated=escalated)
        guess = new_usage(self._prompt, reply_tokens(self._job.signals))
        job = self._job
        self._book = Book(self._parts, job, tier, guess, run.slots, job.purpose, bare)
        self._failure: UpstreamError | None = None
        self._fitted = self._sent.fitted
        self._status: Status = "cancelled"
        marked = tier.recipe is not None and tier.recipe.not_sure
        stream = run.stream
        watched = judges and stream and tier.bar.early != Early()
        self._gate = Gate(
            plan.hold(tier),
            judges,
            stream,
            self._judge_prefix,
            self._may_defer,
            self._parts.marker if marked else "",
            plan.choices,
            Watch(tier.bar, asked, self._refuses) if watched else None,
            self._lost_already,
            asked.native is None,
        )
        self._draft = self._gate.draft

    def _prompt_estimate(self, *, escalated: bool) -> int:
        added = 0 if self._bare else recipe_tokens(self._tier.recipe, escalated=escalated)
        if self._request is not self._job.request:
            chars = sum(len(text_of(message)) for message in self._request.messages)
            added += (chars - self._job.signals.prompt_chars) // CHARS_PER_TOKEN
        return self._job.signals.prompt_tokens + added

    async def call(self) -> None:
        """Make the call. A failure of the upstream is kept, a cancel passes through.

        The request's deadline ends a call only until its first byte is released: from then on
        the upstream's own time-outs rule, since a long answer is not a late one.
        """
        sent = self._sent
        plan = self._job.plan
        left = plan.deadline - self._run.elapsed()
        call = new_upstream_call(  # so many that not all go by name; see `maker`
            self._book.call_id,
            self._tier,
            sent.body,
            self._run.stream,
            self._book.mark,
            strip_usage=sent.strip_usage,
            strip_logprobs=sent.strip_logprobs,
            trace=self._parts.trace(self._job.origin, self._book.call_id),
            native=sent.native,
            on_dropped=self._note_dropped,
            start_within=left,
            on_retry=self._retried,
            displaced=plan.is_displaced(self._tier),
            affinity=self._job.conversation,
            on_named=self._book.name,
            intake=self,
        )
        deadline = self._deadline = self._parts.deadlines.within(left)
        try:
            with deadline:
                await self._parts.upstreams[self._tier.upstream].call(call, self._receive)
                if ready := self._gate.end():
                    await self._pass_on(ready)
            self._status = "left" if self._gate.deferred else "ok"
        except TimeoutError:
            self._fail(UpstreamTimeout("The request's deadline passed while it was answering."))
        except UpstreamError as error:
            self._fail(error)
        except Exception:
            self._status = "failed"  # by a fault of ours, which is raised; nobody hung up
            raise
        finally:
            self._ended = True

    def _note_dropped(self, names: Sequence[str]) -> None:
        self._fitted = (*self._sent.fitted, *dropped(names))

    @property
    def failed(self) -> bool:
        """Has the upstream failed it?"""
        return self._failure is not None

    def waited_for_since(self, at: float, paused: float) -> None:
        """Count the wait for it from a moment of the engine's clock on, and the client's pauses
        from those until then."""
        self._begun, self._paused = at, paused

    async def take_the_floor(self) -> None:
        """It is its turn: what has come goes out at once, and the rest as it comes. What is whole
        already is left to be delivered like every whole reply."""
        if self._lane is not None and not self._ended:
            await self._lane.flush(self._send)

    def _fail(self, error: UpstreamError) -> None:
        self._failure, self._status = error, "failed"

    async def _receive(self, delta: Delta) -> bool:
        return self.take((delta,)) or await self.settle()

    def take(self, deltas: Sequence[Delta]) -> bool:
        """Take the next deltas; fits core.streaming.Intake. What is released first waits for its
        turn, and for the head of the reply; from then on it leaves at once."""
        gate = self._gate
        if self._is_out:
            return self._run.client.pour([each for delta in deltas for each in gate.feed(delta)])
        self._book.heard()
        for delta in deltas:
            self._ready += gate.feed(delta)
            if gate.deferred:
                return False
            if self._lane is not None and says_something(delta):
                self._lane.speak()
        self.flows = gate.takes_text and self._lane is None
        return not self._ready

    def pass_on(self, index: int, text: str, event: bytes) -> bool:
        """Take a piece of text that may be seen as it came; fits core.streaming.Intake."""
        if self._is_out:
            self._draft.say(index, text)
            return self._run.client.pass_on(event)
        self._ready = self._gate.say(index, text, event[DATA])
        return not (self._ready or self._gate.deferred)

    async def settle(self) -> bool:
        """Send what is ready, or wait until there is room for more."""
        ready, self._ready = self._ready, []
        if ready:
            await self._pass_on(ready)
        elif self._is_out:
            await self._run.drained()
        return not self._gate.deferred

    async def _pass_on(self, ready: Sequence[Delta]) -> None:
        """Send what the gate has let through, once it is its turn."""
        turn = ready if self._lane is None else await self._lane.clear(ready)
        if turn:
            await self._send(turn)

    async def _send(self, ready: Sequence[Delta]) -> None:
        """Send what may be seen."""
        self._seen = True
        if not self._ended:
            self._deadline.lift()
        if self._run.first_token is None:
            await self._run.start(self._beginning())
        await self._run.send(ready)
        self._is_out = self._lane is None or self._lane.is_clear
        self.flows = self._is_out and self._gate.is_open and self._run.client.takes_events

    def _beginning(self) -> Outcome:
        """Who serves it, as known when its first byte leaves."""
        fallen = self._job.plan.falls_to(self._tier)
        verdict = FALL_DOWN if fallen else self._gate.verdict
        served = Attempt(self._tier, verdict=verdict, released=True)
        return Outcome((*self._before, served), served, degraded=fallen)

    @property
    def _before(self) -> tuple[Attempt, ...]:
        """The attempts before this one; a bare call belongs to the last that there is."""
        return self._run.attempts[:-1] if self._bare else self._run.attempts

    def _may_defer(self) -> bool:
        """Would a deferral now lead anywhere, and is the verdict as good as it gets?"""
        plan, tier = self._job.plan, self._tier
        if tier.bar.combiner and worth_buying(plan, tier, self._prefix, self._judged):
            return False
        run, drafted = self._run, self._spent()
        cost = self._tier.price.total(drafted)
        return may_escalate(self._job.plan, run.attempts, self._tier, run.elapsed(), cost)

    def _refuses(self, opening: Reply) -> Finding:
        return self._run.ask(self._tier, ("refusal",), opening)[0].finding

    def _lost_already(self, finding: Finding) -> Verdict | None:
        """Is what was found enough to defer it? What no better tier is expected to mend is not."""
        evidence = (Evidence(EARLY, finding),)
        verdict = weigh(self._job.plan, self._tier, evidence, whole=False)
        if verdict.accepted:
            return None
        self._prefix, self._judged = evidence, verdict
        return verdict

    def _judge_prefix(self, reply: Reply) -> Verdict:
        bar = self._tier.bar
        free = (spec.name for spec in bar.checks if spec.free)
        self._prefix = tuple(self._run.ask(self._tier, free, reply))
        verdict = weigh(self._job.plan, self._tier, self._prefix, whole=False)
        self._judged = verdict
        return replace(verdict, reason="prefix_passed") if verdict.accepted else verdict

    def _retried(self, error: UpstreamError) -> None:
        """Close the books on a call that is made once more."""
        read = None if error.kind in UNBILLED else self._spent()
        self._book.retried(error, read)

    def attempt(self, *, outrun: bool = False, rival: bool = False) -> Attempt:
        """Close the books on this call, once; one that was `outrun` decides nothing, so it has no
        verdict even where its prefix had been judged."""
        gate = self._gate
        deferred = gate.deferred and not outrun
        if not outrun:
            paused = self._run.paused - self._paused  # waiting for the client is not the upstream's
            self._run.waited += self._parts.clock() - self._begun - paused
        calls = self._book.close(self._status, self._usage(), self._failure)
        whole = self._status == "ok" and not outrun
        # It knows us, by what it asks: both would outlive the request until the collector comes.
        del self._gate
        waiting = self._lane.take() if self._lane is not None else []
        verdict = gate.verdict if self._seen or deferred else None
        if whole and verdict is None:
            verdict = unheld(self._job.plan, self._tier)
        return new_attempt(
            tier=self._tier,
            calls=calls,
            reply=gate.draft.reply(complete=whole) if whole or deferred else None,
            evidence=self._prefix if deferred else (),
            verdict=verdict,
            failure=self._failure,
            released=self._seen,
            held=(*waiting, *gate.held) if whole else (),
            altered=self._sent.altered,
            fitted=self._fitted,
            bare=self._bare,
            left=deferred or outrun,
            fallen=self._job.plan.falls_to(self._tier),
            rival=rival,
        )

    def _usage(self) -> Usage | None:
        """What was used; None when nothing of it is billed."""
        draft = self._gate.draft
        unbilled = self._failure is not None and self._failure.kind in UNBILLED
        if draft.usage is None and unbilled and draft.tokens == 0:
            return None
        return self._spent()

    def _spent(self) -> Usage:
        return self._gate.draft.spent(self._prompt, self._tier.context)
