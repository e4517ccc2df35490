"""Containers where nothing can be mounted and there are no namespaces: a supervisor answers for the container's file system.

The supervisor is one process for each container, its processes' parent and tracer. A seccomp filter sends it the system calls that name
a path or an identity: it looks the path up in the container's tree, opens or changes the file itself, and answers with the result.
What the kernel must do in the process itself (execve, chdir, bind, connect) is let through with its arguments exchanged, by ptrace.
Everything else, reading and writing above all, goes to the kernel at full speed.

    guard         the monitor's side: starts the supervisor, asks it for processes
    supervisor    the loop: notifications, stops, ends of processes
    view          paths of the container → paths of the host, over `rootfs.tree`
    opening, attributes, changes, identity, others      answers to system calls
    stops, executables                                  execve, chdir and sockets
    machine, filters, tracing, listener, members        the kernel's interface

What it isolates: files, identities, signals, addresses. What it does not: the list of processes, the network otherwise, memory. Code
that means harm can race a traced call; it has no more rights than the user who started it.

seccomp_unotify(2), ptrace(2).
"""
