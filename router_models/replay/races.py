"""What became of a recorded request's races: who was gone on with, and who was given up."""

from __future__ import annotations

from gateway.core.outcome import Attempt
from gateway.core.plan import Tier
from gateway.core.steps import Call
from router_models.replay.recorded import Record


class Races:
    """The races of one request, as its calls are made again. A place is a number of calls that
    decided something: those in `Record.actual`."""

    def __init__(self, record: Record, *, known: bool) -> None:
        """Nothing is called yet. `known` says that it is decided by the plan that it was, since by
        any other nobody knows who had won."""
        self._record = record
        self._outrun = list(record.outrun) if known else []
        self._guess: Tier | None = None
        self.at = 0
        """Where among the attempts those stand that are given up."""

    def guess(self, tier: Tier, at: int) -> None:
        """Begin a call of `tier` beside the first one, whose verdict decides about it."""
        self._guess, self.at = tier, at

    def drop_guess(self, step: Call, place: int) -> bool:
        """Was what had been begun beside the first call failed, not begun by then, or of another
        tier than this step wants? Then it is given up, and decided again, with what that cost."""
        guess = self._guess
        if guess is None or step.repair:
            return False
        self._guess = None
        return guess.name != step.tier.name or not self._is_adopted(guess, place)

    def _is_adopted(self, guess: Tier, place: int) -> bool:
        """Is the next call the one that had been begun beside the first? A hedged call of its tier
        is told from it by the first one of that race, which then has been given up."""
        if not self.is_next(guess, place):
            return False
        here = (attempt for number, attempt in self._here if number == place)
        if any(attempt.tier.name == guess.name and not attempt.rival for attempt in here):
            return False
        before = self._record.actual[:place].count(guess.name)
        return self._record.tries[guess.name][before].attempt.rival

    def is_next(self, tier: Tier, place: int) -> bool:
        """Was the next call, of those that decided something, one of this tier?"""
        return self._record.actual[place : place + 1] == (tier.name,)

    @property
    def _here(self) -> list[tuple[int, Attempt]]:
        return [(number, made.attempt) for number, made in self._outrun]

    def given_up(self, place: int) -> list[Attempt]:
        """Return what was given up that was begun at this place or before: each once. It costs,
        and decides nothing."""
        due = [attempt for number, attempt in self._here if number <= place]
        self._outrun = [each for each in self._outrun if each[0] > place]
        return due
