"""Measures mageflow_temporal against hand-written `temporalio` workflows that do the same work on the same server.

work.py                 what both sides do
ours/, hand_written/    the two sides: what their workers execute, and how a client uses them
worker.py               a side's worker process; processes.py starts, weighs and ends it
speed.py, interrupt.py, failover.py
                        what is measured, the sides in alternation
scale.py                what is measured of ours alone, at sizes that a hand-written workflow does not reach
stop_log.py             how running code tells when it has stopped
report.py               tables, targets, the JSON file

    python -m bench --help
"""
