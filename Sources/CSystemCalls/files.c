#define _GNU_SOURCE
#include "CSystemCalls.h"
