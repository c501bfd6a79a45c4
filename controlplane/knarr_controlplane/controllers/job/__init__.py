"""Job: run pods until enough of them succeed.

``decide`` is the plan, made of what these modules say: ``tracking`` (which pods count, exactly once), ``failures``
(what a failure means, when to try again), ``indexes`` (of completions), ``conditions`` and ``template`` (new pods).
"""
