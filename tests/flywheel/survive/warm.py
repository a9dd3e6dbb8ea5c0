"""What every process of a test would have to load first: imported once, before they are forked off."""

from flywheel.screen import Answered, screen

screen([Answered([{"role": "user", "content": "What about the river?"}], "It runs.", "a", "chat")])
