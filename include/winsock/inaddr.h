/* Part of winsock2.h. */
#ifndef COUNTERSIGN_INADDR_H
#define COUNTERSIGN_INADDR_H
#include "winsock2.h"
#endif
