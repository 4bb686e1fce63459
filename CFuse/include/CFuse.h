#ifndef CFUSE_H
#define CFUSE_H

// The low-level API of libfuse, as Debian 12's libfuse3-dev (3.14) has it.
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#endif
