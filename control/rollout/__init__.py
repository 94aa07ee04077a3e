"""What becomes of a rollout: its states, what moves it, and what it would have done."""
