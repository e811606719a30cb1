/* Threads and locks of windows.h, with a socket in each thread. */
#include "check.h"

#include <process.h>

static struct echo *echo;
static CRITICAL_SECTION lock;
static LONG sum, answers;

static DWORD WINAPI run(LPVOID argument) {
    char byte = 0;
    SOCKET s = dial(echo, "postgres/localhost", 0);
    if (s != INVALID_SOCKET && send(s, "t", 1, 0) == 1 && recv(s, &byte, 1, 0) == 1 && byte == 't')
        InterlockedIncrement(&answers);
    closesocket(s);
    EnterCriticalSection(&lock);
    EnterCriticalSection(&lock); /* one thread may do so twice */
    sum += (LONG)(LONG_PTR)argument;
    LeaveCriticalSection(&lock);
    LeaveCriticalSection(&lock);
    return 0;
}

static unsigned run_too(void *argument) { return run(argument); }

int main(void) {
    HANDLE threads[8];
    DWORD id = 0;
    check_start();
    echo = echo_start(SOCK_STREAM);
    InitializeCriticalSection(&lock);
    for (LONG_PTR i = 0; i < 8; i++) {
        threads[i] = i % 2 ? CreateThread(NULL, 1 << 20, run, (LPVOID)(i + 1), 0, &id)
                           : (HANDLE)_beginthreadex(NULL, 0, run_too, (void *)(i + 1), 0, NULL);
        CHECK("CreateThread", threads[i] != NULL);
    }
    CHECK("WaitForMultipleObjects", WaitForMultipleObjects(8, threads, TRUE, INFINITE) == WAIT_OBJECT_0);
    CHECK("CreateThread", sum == 36 && answers == 8);
    CHECK("WaitForSingleObject", WaitForSingleObject(threads[0], 0) == WAIT_OBJECT_0);
    for (int i = 0; i < 8; i++) CHECK("CloseHandle", CloseHandle(threads[i]));
    CHECK("CreateThread", CreateThread(NULL, 0, run, NULL, CREATE_SUSPENDED, NULL) == NULL);
    CHECK("CreateThread", GetLastError() == ERROR_NOT_SUPPORTED);
    /* A handle that is closed before the thread ends is no harm. */
    HANDLE orphan = CreateThread(NULL, 0, run, NULL, 0, NULL);
    CHECK("CloseHandle", CloseHandle(orphan));
    while (__atomic_load_n(&answers, __ATOMIC_SEQ_CST) < 9) Sleep(10);
    Sleep(100);
    return check_end();
}
