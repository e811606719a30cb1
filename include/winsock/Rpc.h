/* Another spelling of rpc.h: on Windows the case of a file name does not count. */
#include "rpc.h"
