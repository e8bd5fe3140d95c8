"""`waterfall tune --write`: the threshold is put in, and every other byte stays."""

from __future__ import annotations

import re

import pytest
from tuning_place import FLOW, TOP, configure

from gateway.app import read_settings
from gateway.cli import main

BLOCK = """\
routes:
  # a
  waterfall:
    # b
    @tiers: [small, large]  # c
    scorer: scorer"""


def unpinned(text):
    """Leave out the reference that --write puts beside a number."""
    pinned = r"reference: artefact, |^ *reference: artefact\r?\n"
    return re.sub(pinned, "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("routes: {waterfall: {@tiers: [small, large], scorer: ./scorer}} # e\n", "", "@, "),
        (BLOCK, "", "@\n    "),
        (BLOCK.replace("\n", "\r\n") + "\r\n", "", "@\r\n    "),
        (BLOCK.replace("# c", "# c\n    @ # d"), "threshold:   80%", "threshold:   N"),
        (
            "routes: {waterfall: {tiers: [small, large], @, scorer: scorer}}",
            "threshold: '80%'",
            "@",
        ),
        (
            "routes: {waterfall: {tiers: [small, mid, large], @, scorer: scorer}}\n",
            "threshold: [ 0.1 , 0.99 ]",
            "threshold: [ N , 0.99 ]",
        ),
    ],
    ids=["flow", "block", "windows", "scalar", "quoted", "list"],
)
def test_only_the_threshold_is_written(tune, place, text, before, after):
    if text.count("@") > 1:
        text = text.replace("@", "", 1)
    path = configure(place, TOP + text.replace("@", before))
    told = tune("--target-share", 0.4, "--data", "fresh.csv", "--write")
    assert told["written"] is True
    put = after.replace("@", "threshold: N").replace("N", str(told["threshold"]))
    assert unpinned(path.read_bytes().decode()) == TOP + text.replace("@", put)
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_settings(path, {}).routes["waterfall"].thresholds[0] == told["threshold"]
    assert sorted(each.name for each in place.iterdir() if each.name.startswith(".")) == []


def test_another_route_and_file_are_written_where_they_are_named(tune, place):
    text = TOP + (
        "routes:\n  first: {tiers: [small, large], scorer: scorer}\n"
        "  second: {tiers: [small, large], scorer: scorer, threshold: 0.5}\n"
    )
    path = configure(place, "\ufeff" + text, "other.yaml")
    default = (place / "waterfall.yaml").read_bytes()
    given = ["--config", path, "--route", "second", "--target-share", 0.4, "--data", "fresh.csv"]
    told = tune(*given, "--write")
    assert told["route"] == "second"
    assert unpinned(path.read_text()) == "\ufeff" + text.replace("0.5", str(told["threshold"]))
    assert (place / "waterfall.yaml").read_bytes() == default
    assert tune(*given)["written"] is False


def test_a_link_to_the_file_stays_a_link(tune, place):
    real = configure(place, FLOW, "real.yaml")
    (place / "waterfall.yaml").unlink()
    (place / "waterfall.yaml").symlink_to("real.yaml")
    told = tune("--target-share", 0.4, "--data", "fresh.csv", "--write")
    assert (place / "waterfall.yaml").is_symlink()
    assert f"threshold: {told['threshold']}" in real.read_text()


ALIASED = "routes: {waterfall: &a {tiers: [small, large], scorer: scorer}, second: *a}\n"
FALLING = "routes: {waterfall: {tiers: [small, mid, large], threshold: [0, 0.02], scorer: scorer}}"


@pytest.mark.parametrize(
    ("routes", "said"),
    # Of the first, both routes are one node: that would change more than was asked.
    [
        (ALIASED, "an edit would change more"),
        (FALLING, "waterfall.yaml would no longer be sound (routes.waterfall.threshold"),
    ],
)
def test_what_cannot_be_edited_alone_is_left_and_said(place, routes, said, capsys):
    path = configure(place, TOP + routes)
    assert main(["tune", "--target-share", "0.4", "--data", "fresh.csv", "--write"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "by hand" in told
    assert ".waterfall.yaml." not in told, "the draft's name says nothing to anybody"
    assert path.read_text() == TOP + routes
    assert [each.name for each in place.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize("more", ["", ", reference: own"])
def test_a_number_is_written_with_the_reference_that_it_was_made_on(tune, place, more):
    """Ranked by its own traffic one day, the gateway would take the number for another score."""
    path = configure(place, FLOW.replace("scorer: ./scorer", f"scorer: ./scorer{more}"))
    share = tune("--target-share", 0.4, "--data", "fresh.csv", "--write")
    assert "200 requests" in share["note"]
    route = read_settings(path, {}).routes["waterfall"]
    assert (route.reference, route.thresholds) == ("artefact", (share["threshold"],))
    told = tune("--target-quality", 0.9, "--data", "fresh.csv", "--write")
    route = read_settings(path, {}).routes["waterfall"]
    assert (route.reference, route.thresholds) == ("artefact", (told["threshold"],))
    assert tune("--target-quality", 0.9, "--data", "fresh.csv")["note"] is None


def test_a_live_form_is_replaced(tune, place):
    live = FLOW.replace("scorer: ./scorer", "scorer: ./scorer, threshold: {target_share: 0.2}")
    path = configure(place, live)
    told = tune("--target-share", 0.4, "--data", "fresh.csv", "--write")
    assert unpinned(path.read_text()) == live.replace("{target_share: 0.2}", str(told["threshold"]))
    assert read_settings(path, {}).routes["waterfall"].target is None
