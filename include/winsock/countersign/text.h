/* What a number means, for people. */
#ifndef COUNTERSIGN_TEXT_H
#define COUNTERSIGN_TEXT_H

#include "memory.h"
#include "types.h"
#include "waiting.h"
#include "wide.h"

#define FORMAT_MESSAGE_ALLOCATE_BUFFER 0x00000100
#define FORMAT_MESSAGE_IGNORE_INSERTS 0x00000200
#define FORMAT_MESSAGE_FROM_STRING 0x00000400
#define FORMAT_MESSAGE_FROM_HMODULE 0x00000800
#define FORMAT_MESSAGE_FROM_SYSTEM 0x00001000
#define FORMAT_MESSAGE_ARGUMENT_ARRAY 0x00002000
#define FORMAT_MESSAGE_MAX_WIDTH_MASK 0x000000FF
#define LANG_NEUTRAL 0x00
#define LANG_ENGLISH 0x09
#define SUBLANG_NEUTRAL 0x00
#define SUBLANG_DEFAULT 0x01
#define SUBLANG_ENGLISH_US 0x01
#define MAKELANGID(primary, sub) ((WORD)((((WORD)(sub)) << 10) | (WORD)(primary)))

COUNTERSIGN_BEGIN
/* What an error number means, in English and UTF-8; never NULL, and valid for ever. */
const char *CountersignErrorText(int error);
COUNTERSIGN_END

/* Texts of the system only: numbers of Winsock and of Windows. With FORMAT_MESSAGE_ALLOCATE_BUFFER the text is
 * freed with LocalFree. */
COUNTERSIGN_INLINE DWORD FormatMessageA(DWORD flags, LPCVOID source, DWORD id, DWORD language, LPSTR to, DWORD space,
    va_list *arguments) {
    (void)source, (void)language, (void)arguments;
    if (!(flags & FORMAT_MESSAGE_FROM_SYSTEM) || to == NULL) {
        SetLastError(87 /* ERROR_INVALID_PARAMETER */);
        return 0;
    }
    const char *text = CountersignErrorText((int)id);
    size_t length = strlen(text);
    if (flags & FORMAT_MESSAGE_ALLOCATE_BUFFER) {
        char *copy = (char *)LocalAlloc(LMEM_FIXED, length + 1 > space ? length + 1 : space);
        if (copy == NULL) return 0;
        memcpy(copy, text, length + 1);
        *(char **)(void *)to = copy;
    } else if (space <= length) {
        SetLastError(122 /* ERROR_INSUFFICIENT_BUFFER */);
        return 0;
    } else {
        memcpy(to, text, length + 1);
    }
    return (DWORD)length;
}

COUNTERSIGN_INLINE DWORD FormatMessageW(DWORD flags, LPCVOID source, DWORD id, DWORD language, LPWSTR to, DWORD space,
    va_list *arguments) {
    (void)source, (void)language, (void)arguments;
    if (!(flags & FORMAT_MESSAGE_FROM_SYSTEM) || to == NULL) {
        SetLastError(87 /* ERROR_INVALID_PARAMETER */);
        return 0;
    }
    const char *text = CountersignErrorText((int)id);
    size_t units = strlen(text) + 1; /* the texts are ASCII */
    if (flags & FORMAT_MESSAGE_ALLOCATE_BUFFER) {
        WCHAR *copy = (WCHAR *)LocalAlloc(LMEM_FIXED, (units > space ? units : space) * sizeof *copy);
        if (copy == NULL) return 0;
        MultiByteToWideChar(CP_UTF8, 0, text, -1, copy, (int)units);
        *(WCHAR **)(void *)to = copy;
    } else if (space < units) {
        SetLastError(122 /* ERROR_INSUFFICIENT_BUFFER */);
        return 0;
    } else {
        MultiByteToWideChar(CP_UTF8, 0, text, -1, to, (int)space);
    }
    return (DWORD)(units - 1);
}
#define FormatMessage COUNTERSIGN_AW(FormatMessage)

#endif
