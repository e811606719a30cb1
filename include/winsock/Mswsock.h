/* Another spelling of mswsock.h: on Windows the case of a file name does not count. */
#include "mswsock.h"
