"""Looks for planted backdoors in what a model is taught with: demonstrations, comparisons, corrections."""
