"""The shim: one process per pod, a fork of the zygote that never executes another program.

main          the loop: requests, exits, exit records
container     what the first process of a container does between clone and execve
join          what an exec does between clone and execve
confine       user, capabilities, filter and execve, for both
pause         the first process of a pid namespace that containers of a pod share
"""
