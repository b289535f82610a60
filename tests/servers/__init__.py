"""Real servers for the tests of remotes, each in a process of its own on a free port of the loopback interface."""
