"""All system calls of the runtime: raw calls by ctypes, and the kernel's objects built on them.

Standard library only and cheap to import: zygote, shims and log reader are made of this. Failing calls raise OSError
whose ``filename`` says which call on what; whoever knows the meaning translates it to :mod:`knarr_runtime.errors`.
"""
