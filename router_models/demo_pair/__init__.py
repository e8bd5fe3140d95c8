"""The demo's two tiny language models: made, trained, exported and measured by this code alone."""
