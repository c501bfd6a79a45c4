"""The zygote: one small process per node that forks shims and the log reader, so that the daemon never forks."""
