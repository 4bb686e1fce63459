// The wall of system calls.
