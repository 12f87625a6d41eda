"""The benchmarks: each measures one promise of speed beside its ceiling, in the same run on the same machine.

Owns the measuring. Must not be known to Campana: what is measured runs as it runs for its users, in processes of its
own. docs/benchmarks.md says what each one measures and what came out.
"""
