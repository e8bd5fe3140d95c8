from __future__ import annotations

import gc

from gateway.launcher.garbage import YOUNG, sparing


def test_what_is_there_is_spared_until_a_configuration_is_replaced():
    before = gc.get_threshold()
    with sparing() as replaced:
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] == YOUNG
        replaced(None)
        replaced(None)
        assert gc.get_freeze_count() == 0
        gc.collect(1)
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert gc.get_freeze_count() > 1000
        gc.unfreeze()
        gc.collect()
        assert gc.get_freeze_count() == 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_nothing_is_left_behind_where_no_collection_came_in_between():
    callbacks = list(gc.callbacks)
    with sparing() as replaced:
        replaced(None)
    assert gc.callbacks == callbacks
