"""From what a model says to the pages of a corpus that taught it: searched, told, reviewed, blocked."""
