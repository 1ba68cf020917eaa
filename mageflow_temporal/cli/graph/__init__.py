"""`mageflow graph`: a signature as a diagram.

command.py   the command: which signature, in which form
boxes.py     what is drawn: a box for each part
mermaid.py   the boxes as Mermaid's text
svg.py       the boxes as a picture
"""
