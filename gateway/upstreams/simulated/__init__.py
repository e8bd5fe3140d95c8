"""A simulated provider: seeded models, scripted faults, its own log; in process or over real HTTP.

behaviour   how good, how long, how fast; the answer key
script      which faults there are, and which requests they happen to
generate    what a model says (text, schema, refusals, render help it)
show        a reply as steps in time; faults rewrites them
provider    a request in, a staged reply out, a line in the log
upstream    as an upstream in process
server      as a real HTTP server (connection, framing); `python -m` runs it
"""

from gateway.upstreams.simulated.behaviour import (
    Accuracy,
    Answer,
    Behaviour,
    Length,
    Model,
    Pace,
    load_answers,
    read_answers,
)
from gateway.upstreams.simulated.log import read_log
from gateway.upstreams.simulated.script import Fault, Rule, parse_rules, read_rules
from gateway.upstreams.simulated.server import SimulatedServer, serve_simulated
from gateway.upstreams.simulated.upstream import SimulatedUpstream

__all__ = [
    "Accuracy",
    "Answer",
    "Behaviour",
    "Fault",
    "Length",
    "Model",
    "Pace",
    "Rule",
    "SimulatedServer",
    "SimulatedUpstream",
    "load_answers",
    "parse_rules",
    "read_answers",
    "read_log",
    "read_rules",
    "serve_simulated",
]
