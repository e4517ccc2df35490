"""Containers where nothing can be mounted and there are no namespaces: a supervisor answers for the container's file system.

The supervisor is one process for each container, its processes' parent and tracer. A seccomp filter sends it the system calls that name
a path or an identity: it looks the path up in the container's tree, opens or changes the file itself, and answers with the result.
What the kernel must do in the process itself (execve, chdir, bind, connect) is let through with its arguments exchanged, by ptrace.
Everything else, reading and writing above all, goes to the kernel at full speed.

    guard         the monitor's side: starts the supervisor, asks it for processes
    supervisor    the loop: notifications, stops, ends of processes
    view, folders paths of the container → paths of the host, over `rootfs.tree`
    opening, attributes, changes, identity, others      answers to system calls
    stops, executables                                  execve, chdir and sockets
    machine, filters, tracing, listener, members, tasks the kernel's interface

What it isolates: files, identities, addresses, and what one process does to another, by signals for one. What it does not: the numbers
of processes, the network otherwise (abstract unix sockets, sendmsg with an address), System V's shared memory. Code that means harm can
race a traced call, whose path lies in its own memory, and two containers can race each other in a volume that they share. It has no more
rights than the user who started it.

seccomp_unotify(2), ptrace(2).
"""
