"""Events: they are forgotten after a while."""
