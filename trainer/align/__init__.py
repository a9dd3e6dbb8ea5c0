"""From a base model to an assistant: demonstrations, comparisons and rewards, and what came of learning from them."""
