// The FUSE session.
