/* Another spelling of ntdsapi.h: on Windows the case of a file name does not count. */
#include "ntdsapi.h"
