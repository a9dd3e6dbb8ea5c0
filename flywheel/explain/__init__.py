"""What led to something, and what it led to: the store's rows as a graph, walked both ways."""
