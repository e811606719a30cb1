/* Another spelling of tchar.h: on Windows the case of a file name does not count. */
#include "tchar.h"
