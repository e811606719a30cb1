/* Another spelling of windows.h: on Windows the case of a file name does not count. */
#include "windows.h"
