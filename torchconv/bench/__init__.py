"""Times torchconv's operators beside torch's own: ``python -m torchconv.bench --help``.

Every shape is verified against float64 before it is timed, and both libraries take turns in one
process, so that whatever slows the machine down slows both. What training steps take in memory is
measured, too, in a process for each.
"""
