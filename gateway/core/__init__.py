"""The domain: standard library only, no await, no clock, no I/O.

errors      every error, its status, and whether it falls through
money       integer nano-dollars: usage, price, cost
chat        a request, a delta, a draft, a reply
signals     facts measured on a request
difficulty  would a stronger tier help?
recipes     a tier's prompt engineering
verdict     evidence from checks -> accept or defer
plan        which tiers, in what order, within what bounds
outcome     what happened: calls, attempts, outcome
cascade     the rules: `next_step`
routing     a route and a difficulty -> a plan
gate        holds a draft until there is a verdict
baseline    what the baseline tier alone would have cost; reply_length: how long its reply would be
ledger      the one record of a request
ports       what the engine needs from outside
"""
