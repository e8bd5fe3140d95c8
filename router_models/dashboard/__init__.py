"""What the dashboard shows: figures by the code of `waterfall report` and `replay`."""
