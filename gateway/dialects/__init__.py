"""Translators between OpenAI's chat completions, in which the waterfall thinks, and every other
dialect: values in, values out, no I/O.

Each dialect's folder reads its wire into the chat's shapes and writes it from them: what a client
sends and hears, and what an upstream is sent and says.
"""
