"""
One module per contender or family, run in the contender's own interpreter.

A module has ``WORK``, workload name -> what measures it; a function gets a Meter and a Spec, and only what is inside
``meter.op(...)`` or ``meter.run(...)`` counts. Those workloads that need something made beforehand, once and untimed,
are in ``PREPARE`` too.
"""
