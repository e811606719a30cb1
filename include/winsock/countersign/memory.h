/* Memory, as programs for Windows ask for it. */
#ifndef COUNTERSIGN_MEMORY_H
#define COUNTERSIGN_MEMORY_H

#include <stdlib.h>
#include <string.h>

#include "types.h"

#define HEAP_NO_SERIALIZE 0x00000001
#define HEAP_GENERATE_EXCEPTIONS 0x00000004
#define HEAP_ZERO_MEMORY 0x00000008
#define LMEM_FIXED 0x0000
#define LMEM_ZEROINIT 0x0040
#define LPTR (LMEM_FIXED | LMEM_ZEROINIT)
#define GMEM_FIXED LMEM_FIXED
#define GMEM_ZEROINIT LMEM_ZEROINIT
#define GPTR LPTR

#define CopyMemory(to, from, size) memcpy((to), (from), (size))
#define MoveMemory(to, from, size) memmove((to), (from), (size))
#define FillMemory(to, size, byte) memset((to), (byte), (size))
#define ZeroMemory(to, size) memset((to), 0, (size))
#define RtlCopyMemory CopyMemory
#define RtlMoveMemory MoveMemory
#define RtlFillMemory FillMemory
#define RtlZeroMemory ZeroMemory
#define RtlEqualMemory(a, b, size) (!memcmp((a), (b), (size)))

/* There is one heap; its handle is only not NULL. */
COUNTERSIGN_INLINE HANDLE GetProcessHeap(void) { return (HANDLE)(ULONG_PTR)1; }

COUNTERSIGN_INLINE LPVOID HeapAlloc(HANDLE heap, DWORD flags, SIZE_T size) {
    (void)heap;
    if (size == 0) size = 1;
    return flags & HEAP_ZERO_MEMORY ? calloc(1, size) : malloc(size);
}

COUNTERSIGN_INLINE BOOL HeapFree(HANDLE heap, DWORD flags, LPVOID memory) {
    (void)heap, (void)flags;
    free(memory);
    return TRUE;
}

COUNTERSIGN_INLINE HLOCAL LocalAlloc(UINT flags, SIZE_T size) {
    return HeapAlloc(NULL, flags & LMEM_ZEROINIT ? HEAP_ZERO_MEMORY : 0, size);
}

COUNTERSIGN_INLINE HLOCAL LocalFree(HLOCAL memory) {
    free(memory);
    return NULL;
}

COUNTERSIGN_INLINE HGLOBAL GlobalAlloc(UINT flags, SIZE_T size) { return LocalAlloc(flags, size); }
COUNTERSIGN_INLINE HGLOBAL GlobalFree(HGLOBAL memory) { return LocalFree(memory); }

/* For secrets: the compiler may not leave it out. */
COUNTERSIGN_INLINE PVOID SecureZeroMemory(PVOID memory, SIZE_T size) {
    volatile unsigned char *byte = (volatile unsigned char *)memory;
    while (size--) *byte++ = 0;
    return memory;
}
#define RtlSecureZeroMemory SecureZeroMemory

#endif
