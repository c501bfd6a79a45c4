"""How every program of Knarr can be watched: ``logs``, and ``tracing`` when it is turned on. Knows no plane."""
