/* Threads and locks, as programs for Windows make them: pthreads below.
 *
 * The handle of a thread is an event that is set when the thread ends: it can be waited for and closed, and no more.
 */
#ifndef COUNTERSIGN_THREADS_H
#define COUNTERSIGN_THREADS_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory.h"
#include "types.h"
#include "waiting.h"

#define CREATE_SUSPENDED 0x00000004
#define STACK_SIZE_PARAM_IS_A_RESERVATION 0x00010000

COUNTERSIGN_BEGIN
BOOL WINAPI CloseHandle(HANDLE hObject);
COUNTERSIGN_END

typedef DWORD(WINAPI *LPTHREAD_START_ROUTINE)(LPVOID lpThreadParameter);

struct countersign_thread {
    LPTHREAD_START_ROUTINE run;
    unsigned(*run_too)(void *);
    LPVOID argument;
    HANDLE ended;
};

COUNTERSIGN_INLINE void *countersign_thread_run(void *argument) {
    struct countersign_thread it = *(struct countersign_thread *)argument;
    free(argument);
    if (it.run != NULL) it.run(it.argument);
    else it.run_too(it.argument);
    /* If the program has closed the handle, it names nothing any more, and this does nothing. */
    SetEvent(it.ended);
    return NULL;
}

COUNTERSIGN_INLINE HANDLE countersign_thread_start(struct countersign_thread what, SIZE_T stack, DWORD flags) {
    pthread_t thread;
    pthread_attr_t attributes;
    struct countersign_thread *it = (struct countersign_thread *)malloc(sizeof *it);
    if (flags & CREATE_SUSPENDED || it == NULL) {
        free(it);
        SetLastError(flags & CREATE_SUSPENDED ? 50 /* ERROR_NOT_SUPPORTED */ : 8 /* ERROR_NOT_ENOUGH_MEMORY */);
        return NULL;
    }
    *it = what;
    HANDLE ended = it->ended = CreateEventA(NULL, TRUE, FALSE, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* Too small a size is refused, and the default stays. */
    if (stack > 0) pthread_attr_setstacksize(&attributes, stack);
    int error = ended == NULL ? 1 : pthread_create(&thread, &attributes, countersign_thread_run, it);
    pthread_attr_destroy(&attributes);
    if (error == 0) return ended;
    if (ended != NULL) CloseHandle(ended);
    free(it);
    SetLastError(8 /* ERROR_NOT_ENOUGH_MEMORY */);
    return NULL;
}

COUNTERSIGN_INLINE HANDLE CreateThread(LPSECURITY_ATTRIBUTES security, SIZE_T stack, LPTHREAD_START_ROUTINE run,
    LPVOID argument, DWORD flags, LPDWORD id) {
    struct countersign_thread what = { run, NULL, argument, NULL };
    static DWORD count; /* an id of ours: Linux' is known to the thread only */
    (void)security;
    HANDLE thread = countersign_thread_start(what, stack, flags);
    if (thread != NULL && id != NULL) *id = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    return thread;
}

COUNTERSIGN_INLINE uintptr_t _beginthreadex(void *security, unsigned stack, unsigned (*run)(void *), void *argument,
    unsigned flags, unsigned *id) {
    struct countersign_thread what = { NULL, run, argument, NULL };
    (void)security;
    HANDLE thread = countersign_thread_start(what, stack, flags);
    if (thread != NULL && id != NULL) *id = 0;
    return (uintptr_t)thread;
}

COUNTERSIGN_INLINE DWORD GetCurrentProcessId(void) { return (DWORD)getpid(); }

/* ---- Locks. ------------------------------------------------------------------------------------------------- */

/* A critical section may be entered twice by one thread; -std=c11 without POSIX has no such lock. */
#if defined(__USE_UNIX98) || defined(__USE_XOPEN2K8) || !defined(__GLIBC__)
typedef pthread_mutex_t CRITICAL_SECTION, *PCRITICAL_SECTION, *LPCRITICAL_SECTION;

COUNTERSIGN_INLINE void InitializeCriticalSection(LPCRITICAL_SECTION lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}
COUNTERSIGN_INLINE void EnterCriticalSection(LPCRITICAL_SECTION lock) { pthread_mutex_lock(lock); }
COUNTERSIGN_INLINE BOOL TryEnterCriticalSection(LPCRITICAL_SECTION lock) { return pthread_mutex_trylock(lock) == 0; }
COUNTERSIGN_INLINE void LeaveCriticalSection(LPCRITICAL_SECTION lock) { pthread_mutex_unlock(lock); }
COUNTERSIGN_INLINE void DeleteCriticalSection(LPCRITICAL_SECTION lock) { pthread_mutex_destroy(lock); }
#endif

#define InterlockedIncrement(to) __atomic_add_fetch((to), 1, __ATOMIC_SEQ_CST)
#define InterlockedDecrement(to) __atomic_sub_fetch((to), 1, __ATOMIC_SEQ_CST)
#define InterlockedExchange(to, value) __atomic_exchange_n((to), (value), __ATOMIC_SEQ_CST)
#define InterlockedExchangeAdd(to, value) __atomic_fetch_add((to), (value), __ATOMIC_SEQ_CST)

#endif
