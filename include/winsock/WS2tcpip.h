/* Another spelling of ws2tcpip.h: on Windows the case of a file name does not count. */
#include "ws2tcpip.h"
