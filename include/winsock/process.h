/* _beginthreadex is in windows.h here. */
#ifndef COUNTERSIGN_PROCESS_H
#define COUNTERSIGN_PROCESS_H

#include "windows.h"

#endif
