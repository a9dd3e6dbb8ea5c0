"""The loop to its end, three times, on a small model with five planted misbehaviours; and three times stopped."""
