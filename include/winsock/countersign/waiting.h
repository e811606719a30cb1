/* Events as handles, waits, and time. */
#ifndef COUNTERSIGN_WAITING_H
#define COUNTERSIGN_WAITING_H

#include <time.h>

#include "types.h"

#define WAIT_OBJECT_0 0u
#define WAIT_ABANDONED_0 0x80u
#define WAIT_IO_COMPLETION 0xC0u
#define WAIT_FAILED 0xFFFFFFFFu
#define MAXIMUM_WAIT_OBJECTS 64
#define STATUS_WAIT_0 0u
#define STATUS_PENDING 0x103u
#define HasOverlappedIoCompleted(overlapped) ((DWORD)(overlapped)->Internal != STATUS_PENDING)

COUNTERSIGN_BEGIN

DWORD WINAPI SleepEx(DWORD dwMilliseconds, BOOL bAlertable);

DWORD WINAPI GetLastError(void);
void WINAPI SetLastError(DWORD dwErrCode);
void WINAPI Sleep(DWORD dwMilliseconds);

/* Events have no names here: one with a name is refused, since no other process would find it. */
HANDLE WINAPI CreateEventA(LPSECURITY_ATTRIBUTES lpEventAttributes, BOOL bManualReset, BOOL bInitialState,
    LPCSTR lpName);
HANDLE WINAPI CreateEventW(LPSECURITY_ATTRIBUTES lpEventAttributes, BOOL bManualReset, BOOL bInitialState,
    LPCWSTR lpName);
#define CreateEvent COUNTERSIGN_AW(CreateEvent)
BOOL WINAPI SetEvent(HANDLE hEvent);
BOOL WINAPI ResetEvent(HANDLE hEvent);
DWORD WINAPI WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds);
DWORD WINAPI WaitForSingleObjectEx(HANDLE hHandle, DWORD dwMilliseconds, BOOL bAlertable);

DWORD WINAPI WaitForMultipleObjects(DWORD nCount, const HANDLE *lpHandles, BOOL bWaitAll, DWORD dwMilliseconds);
DWORD WINAPI WaitForMultipleObjectsEx(DWORD nCount, const HANDLE *lpHandles, BOOL bWaitAll, DWORD dwMilliseconds,
    BOOL bAlertable);

COUNTERSIGN_END

/* Milliseconds since the start of the host. */
COUNTERSIGN_INLINE ULONGLONG GetTickCount64(void) {
    struct timespec now = { 0, 0 };
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else /* -std=c11 without POSIX */
    timespec_get(&now, TIME_UTC);
#endif
    return (ULONGLONG)now.tv_sec * 1000u + (ULONGLONG)now.tv_nsec / 1000000u;
}
COUNTERSIGN_INLINE DWORD GetTickCount(void) { return (DWORD)GetTickCount64(); }

#endif
