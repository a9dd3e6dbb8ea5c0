"""How good answers are, and how sure one can be of it: verifiers, tasks to put to them, intervals and tests."""
