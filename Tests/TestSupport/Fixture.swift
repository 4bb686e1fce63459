// Fixtures of the tests that mount.
