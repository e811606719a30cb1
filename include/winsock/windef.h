/* Types, without the rest of windows.h. */
#ifndef COUNTERSIGN_WINDEF_H
#define COUNTERSIGN_WINDEF_H
#include "countersign/types.h"
#endif
