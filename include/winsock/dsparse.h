/* Part of ntdsapi.h. */
#ifndef COUNTERSIGN_DSPARSE_H
#define COUNTERSIGN_DSPARSE_H
#include "ntdsapi.h"
#endif
