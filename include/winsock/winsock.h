/* Winsock 1.1: part of Winsock 2. */
#ifndef COUNTERSIGN_WINSOCK_H
#define COUNTERSIGN_WINSOCK_H
#include "winsock2.h"
#endif
