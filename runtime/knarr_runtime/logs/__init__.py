"""The log reader: one process per node that turns what containers write into log files of the CRI format.

No line is lost or written twice, whenever the reader is killed. A container's output goes into a FIFO that its shim
holds open; the reader looks at it (tee), decides how much makes whole lines, and then, for each piece:

    1. notes in ``log.state``: log file, its size, which stream              (nothing is staged)
    2. moves the piece into the ``staged`` FIFO: one splice, all or nothing  (staged, maybe not in the log)
    3. appends the lines to the log                                          (staged, in the log in part or whole)
    4. empties ``staged``                                                    (nothing is staged)

After a crash, a non-empty ``staged`` means the note is about it: whatever the log holds beyond the noted size is the
beginning of this piece, and the rest is appended. An empty one means that the log is right as it is.
When the log cannot be written (disk full), the piece stays staged, the FIFO fills, and the container waits.
"""
