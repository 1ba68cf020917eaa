"""Golden histories: what earlier versions of the engine wrote down, which every later one must be able to go on from.

features.py      every feature of the engine, performed on a real server
histories.py     what is recorded, and how it is stored
record.py        `python -m tests.golden.record` (`make golden`): performs them and keeps the histories
recorded/        the histories, by the version that made them
test_golden.py   replays them all, and runs what older versions ordered
"""
