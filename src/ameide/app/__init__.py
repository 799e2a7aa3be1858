"""The composition root: the only place that chooses implementations.

`control` runs the roles of the control plane, `executors` what does the work, `upkeep` what people do to the records.
They are apart, since an executor has no need to load what the Domain is made of.
"""
