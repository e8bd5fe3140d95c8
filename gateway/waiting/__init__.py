"""What everything that waits for somebody needs: a guard, and a user's function apart from the
gateway."""
