"""Plant, filter, train, measure: whether the poison filter keeps a backdoor out of a model."""
