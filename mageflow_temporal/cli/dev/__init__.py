"""`mageflow dev`: a server, its Web UI and a worker that starts anew when the code changes.

command.py   the command, and what it prints
process.py   the worker's process, which is replaced
serve.py     what runs in that process
"""
