"""What everything that waits for somebody needs: a guard, its breaker, and a user's function apart
from the gateway."""
