"""The workshop's commands, which the gateway's `waterfall` finds by their entry points.

Importing one costs next to nothing: what it needs is loaded when it is run.
"""
