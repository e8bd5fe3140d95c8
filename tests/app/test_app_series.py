"""Whatever clients send, the number of series stays where it is."""

from __future__ import annotations

import random
import re
import string

from api.serving import CHAT, ask_for, house

from gateway.sinks.catalogue import TUNING

MANY = 10_000
SERVED = 500
MARK = "zq"


def drawn(chance):
    """A name that no configuration has and that can be found again."""
    return MARK + "".join(chance.choices(string.ascii_lowercase + string.digits, k=12))


def series(page):
    """Every series of a page of metrics."""
    lines = page.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line and not line.startswith("#")}


async def ask_in_every_way(here, chance, *, served):
    """One round of names that mean nothing; each must be answered."""
    refused = await here.post(ask_for(drawn(chance), user=drawn(chance)))
    assert refused.status == 404
    path = f"/v1/{drawn(chance)}" if chance.random() < 0.5 else f"/v1/models/{drawn(chance)}"
    assert (await here.get(path)).status == 404
    if served:
        body = ask_for(user=drawn(chance), metadata={"team": drawn(chance)})
        kept = {"x_request_id": drawn(chance), "user_agent": drawn(chance)}
        answer = await here.post(body, path=CHAT, **kept)
        assert answer.status == 200


async def test_ten_thousand_models_users_and_paths_mint_no_series(tmp_path):
    chance = random.Random(20_261_126)
    async with house(tmp_path) as here:
        await ask_in_every_way(here, chance, served=True)
        before = series(here.gateway.metrics.render())
        for number in range(MANY):
            await ask_in_every_way(here, chance, served=number % (MANY // SERVED) == 0)
        page = here.gateway.metrics.render()
        # What tuning has to say of a route comes once there is traffic, whatever its names.
        tuned = {f'{metric.full_name}{{route="waterfall"}}' for metric in TUNING}
        assert series(page) - tuned == before - tuned
        assert not re.search(MARK, page.decode())
    counted = re.search(
        r'requests_total{outcome="client_error",route="other".*} (\S+)', page.decode()
    )
    assert float(counted[1]) == 2 * MANY + 2
