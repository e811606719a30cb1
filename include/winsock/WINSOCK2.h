/* Another spelling of winsock2.h: on Windows the case of a file name does not count. */
#include "winsock2.h"
