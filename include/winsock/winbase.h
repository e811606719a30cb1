/* Part of windows.h. */
#ifndef COUNTERSIGN_WINBASE_H
#define COUNTERSIGN_WINBASE_H
#include "windows.h"
#endif
