/* Another spelling of mstcpip.h: on Windows the case of a file name does not count. */
#include "mstcpip.h"
