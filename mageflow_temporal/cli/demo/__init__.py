"""`mageflow demo`: a real pipeline over real files, suspended, interrupted and resumed before one's eyes.

pipeline.py  the tasks, and the chain that they make: all that a worker needs
counting.py  what the tasks do to a text
summary.py   the report that the last task writes
progress.py  how far the tasks of this process have come
texts/       the texts that ship with the package

command.py   the command: what it accepts, and how it ends
folder.py    which files are counted
story.py     the acts, in their order
board.py     the table of steps
screen.py    what is drawn or printed meanwhile
shell.py     the `temporal` commands that do the same

A worker imports the first group only, which needs neither of the packages of the extra "cli".
"""
