/* The Windows Filtering Platform is not here, and none of its functions is declared: what it is asked to do belongs
 * to the administrator's policy. The file exists because headers of programs with secure sockets include it. */
#ifndef COUNTERSIGN_FWPMU_H
#define COUNTERSIGN_FWPMU_H

#include "rpc.h"
#include "windows.h"

#endif
