"""Conversations with a model: turns in tokens, tools that are called, the terminal and the server."""
