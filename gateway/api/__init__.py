"""The gateway's face: OpenAI's endpoints in front of the engine, and the admin listener."""
