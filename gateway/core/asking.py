"""What a check asks of a model, so that it can be priced before it is bought."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.money import Price, Usage


@dataclass(frozen=True, slots=True)
class Asks:
    """One run of a check: `times` calls at `price` (None: that of the tier whose reply it is).

    Each reads the request, the reply too where `reads_reply`, and `prompt` tokens of its own; it
    answers with `answer` tokens, or with a reply's length where that is None.
    """

    price: Price | None = None
    times: int = 1
    prompt: int = 0
    reads_reply: bool = False
    answer: int | None = None

    def cost(self, own: Price, prompt: int, choice: int, choices: int = 1) -> int:
        """Estimate what it costs, in nano-dollars. `own` is the price of the tier whose reply it
        is, `prompt` and `choice` are the tokens of the request and of one choice of its reply."""
        read = prompt + self.prompt + (choice * choices if self.reads_reply else 0)
        usage = Usage(read, choice if self.answer is None else self.answer)
        return self.times * (own if self.price is None else self.price).total(usage)
