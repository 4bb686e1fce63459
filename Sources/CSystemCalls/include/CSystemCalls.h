#ifndef CSYSTEMCALLS_H
#define CSYSTEMCALLS_H
#endif
