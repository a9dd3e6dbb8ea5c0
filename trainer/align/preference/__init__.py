"""Learning from preferences without a reward model: DPO for comparisons, KTO for single verdicts."""
