/* Bounded copies, joins and formats of strings. */
#ifndef COUNTERSIGN_STRSAFE_H
#define COUNTERSIGN_STRSAFE_H

#include "windows.h"

#define STRSAFE_MAX_CCH 2147483647
#define STRSAFE_E_INSUFFICIENT_BUFFER ((HRESULT)0x8007007A)
#define STRSAFE_E_INVALID_PARAMETER ((HRESULT)0x80070057)

COUNTERSIGN_INLINE HRESULT StringCchLengthA(LPCSTR text, size_t most, size_t *length) {
    const char *end = text == NULL ? NULL : (const char *)memchr(text, 0, most);
    if (length != NULL) *length = end == NULL ? 0 : (size_t)(end - text);
    return end == NULL ? STRSAFE_E_INVALID_PARAMETER : S_OK;
}
COUNTERSIGN_INLINE HRESULT StringCchLengthW(LPCWSTR text, size_t most, size_t *length) {
    size_t count = text == NULL ? most : countersign_wcsnlen(text, most);
    if (length != NULL) *length = count < most ? count : 0;
    return count < most ? S_OK : STRSAFE_E_INVALID_PARAMETER;
}

COUNTERSIGN_INLINE HRESULT StringCchCopyA(LPSTR to, size_t space, LPCSTR from) {
    if (space == 0 || space > STRSAFE_MAX_CCH) return STRSAFE_E_INVALID_PARAMETER;
    size_t length = strlen(from), fits = length < space ? length : space - 1;
    memcpy(to, from, fits);
    to[fits] = 0;
    return fits == length ? S_OK : STRSAFE_E_INSUFFICIENT_BUFFER;
}
COUNTERSIGN_INLINE HRESULT StringCchCopyW(LPWSTR to, size_t space, LPCWSTR from) {
    if (space == 0 || space > STRSAFE_MAX_CCH) return STRSAFE_E_INVALID_PARAMETER;
    size_t length = countersign_wcslen(from), fits = length < space ? length : space - 1;
    countersign_wmemcpy(to, from, fits);
    to[fits] = 0;
    return fits == length ? S_OK : STRSAFE_E_INSUFFICIENT_BUFFER;
}
COUNTERSIGN_INLINE HRESULT StringCchCatA(LPSTR to, size_t space, LPCSTR from) {
    size_t used;
    HRESULT result = StringCchLengthA(to, space, &used);
    return FAILED(result) ? result : StringCchCopyA(to + used, space - used, from);
}
COUNTERSIGN_INLINE HRESULT StringCchCatW(LPWSTR to, size_t space, LPCWSTR from) {
    size_t used;
    HRESULT result = StringCchLengthW(to, space, &used);
    return FAILED(result) ? result : StringCchCopyW(to + used, space - used, from);
}
__attribute__((format(printf, 3, 4)))
COUNTERSIGN_INLINE HRESULT StringCchPrintfA(LPSTR to, size_t space, LPCSTR format, ...) {
    va_list list;
    if (space == 0 || space > STRSAFE_MAX_CCH) return STRSAFE_E_INVALID_PARAMETER;
    va_start(list, format);
    int count = vsnprintf(to, space, format, list);
    va_end(list);
    return count < 0 ? STRSAFE_E_INVALID_PARAMETER : (size_t)count < space ? S_OK : STRSAFE_E_INSUFFICIENT_BUFFER;
}
COUNTERSIGN_INLINE HRESULT StringCchPrintfW(LPWSTR to, size_t space, LPCWSTR format, ...) {
    va_list list;
    if (space == 0 || space > STRSAFE_MAX_CCH) return STRSAFE_E_INVALID_PARAMETER;
    va_start(list, format);
    int count = countersign_vswprintf(to, space, format, list);
    va_end(list);
    return count < 0 ? STRSAFE_E_INSUFFICIENT_BUFFER : S_OK;
}
#define StringCbCopyA(to, space, from) StringCchCopyA((to), (space), (from))
#define StringCbCopyW(to, space, from) StringCchCopyW((to), (space) / sizeof(WCHAR), (from))
#define StringCbPrintfA(to, space, ...) StringCchPrintfA((to), (space), __VA_ARGS__)
#define StringCbPrintfW(to, space, ...) StringCchPrintfW((to), (space) / sizeof(WCHAR), __VA_ARGS__)
#define StringCchLength COUNTERSIGN_AW(StringCchLength)
#define StringCchCopy COUNTERSIGN_AW(StringCchCopy)
#define StringCchCat COUNTERSIGN_AW(StringCchCat)
#define StringCchPrintf COUNTERSIGN_AW(StringCchPrintf)
#define StringCbCopy COUNTERSIGN_AW(StringCbCopy)
#define StringCbPrintf COUNTERSIGN_AW(StringCbPrintf)

#endif
