/* The little of windows.h that programs with sockets use beside them. */
#ifndef COUNTERSIGN_WINDOWS_H
#define COUNTERSIGN_WINDOWS_H
#define _WINDOWS_
#define _INC_WINDOWS

#include "countersign/types.h"
#include "winerror.h"
#include "countersign/memory.h"
#include "countersign/waiting.h"
#include "countersign/wide.h"
#include "countersign/text.h"

COUNTERSIGN_BEGIN

/* Tokens of peers (WSAQuerySocketSecurity): closed with CloseHandle, as events are. */
#define TOKEN_DUPLICATE 0x0002
#define TOKEN_IMPERSONATE 0x0004
#define TOKEN_QUERY 0x0008
#define MAXIMUM_ALLOWED 0x02000000

BOOL WINAPI ImpersonateLoggedOnUser(HANDLE hToken);
BOOL WINAPI RevertToSelf(void);

COUNTERSIGN_END

#include "countersign/threads.h"

#endif
