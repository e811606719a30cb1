/* Another spelling of strsafe.h: on Windows the case of a file name does not count. */
#include "strsafe.h"
