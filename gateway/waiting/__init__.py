"""What everything that waits for somebody needs: a breaker, and a few threads of its own."""
