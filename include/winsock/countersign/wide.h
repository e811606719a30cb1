/* Strings of 16-bit units, and output of them.
 *
 * libc's wide functions work on a wchar_t of 32 bits; under -fshort-wchar they would read beyond the end of every
 * string. So there the usual names become macros onto the functions of this file, which write UTF-8 where they
 * write outside, and format as Windows does: %s is wide, %S and %hs are narrow, %ld has 32 bits, %I64d has 64.
 */
#ifndef COUNTERSIGN_WIDE_H
#define COUNTERSIGN_WIDE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wctype.h>

#include "types.h"

/* ---- Between UTF-16 and UTF-8. ------------------------------------------------------------------------------ */

#define CP_ACP 0
#define CP_UTF8 65001
#define MB_ERR_INVALID_CHARS 0x00000008
#define WC_ERR_INVALID_CHARS 0x00000080

/* Writes the UTF-8 of one character; returns how many bytes. */
COUNTERSIGN_INLINE size_t countersign_put_utf8(char *to, UINT32 c) {
    if (c < 0x80) return to[0] = (char)c, (size_t)1;
    if (c < 0x800) return to[0] = (char)(0xC0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), (size_t)2;
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xF0 | c >> 18), to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63)), to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Takes one character off UTF-16 of `left` units; returns how many units, and U+FFFD for a lone surrogate. */
COUNTERSIGN_INLINE size_t countersign_take_utf16(const WCHAR *from, size_t left, UINT32 *c) {
    UINT32 unit = (UINT16)from[0];
    if (unit < 0xD800 || unit > 0xDFFF) return *c = unit, (size_t)1;
    if (unit < 0xDC00 && left > 1 && ((UINT16)from[1] & 0xFC00) == 0xDC00) {
        *c = 0x10000 + ((unit & 0x3FF) << 10) + ((UINT16)from[1] & 0x3FFu);
        return 2;
    }
    return *c = 0xFFFD, (size_t)1;
}

/* Takes one character off UTF-8 of `left` bytes; returns how many bytes, and U+FFFD for one that is none. */
COUNTERSIGN_INLINE size_t countersign_take_utf8(const char *from, size_t left, UINT32 *c) {
    static const UINT32 least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = (unsigned char)from[0];
    size_t count = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (count == 1) return *c = first, (size_t)1;
    if (count == 0 || count > left) return *c = 0xFFFD, (size_t)1;
    UINT32 value = first & (0xFFu >> (count + 1));
    for (size_t i = 1; i < count; i++) {
        if (((unsigned char)from[i] & 0xC0) != 0x80) return *c = 0xFFFD, (size_t)1;
        value = value << 6 | ((unsigned char)from[i] & 63u);
    }
    if (value < least[count] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return *c = 0xFFFD, (size_t)1;
    return *c = value, count;
}

/* Every narrow string is UTF-8 here, so the code page has no effect. */
COUNTERSIGN_INLINE int WideCharToMultiByte(UINT page, DWORD flags, LPCWSTR from, int count, LPSTR to, int space,
    LPCSTR instead, LPBOOL used) {
    (void)page, (void)instead;
    size_t units = 0, at = 0, bytes = 0;
    if (from == NULL || count == 0 || space < 0) return 0;
    if (count > 0) units = (size_t)count;
    else while (from[units++] != 0) {}
    if (used != NULL) *used = FALSE;
    while (at < units) {
        UINT32 c;
        char utf8[4];
        size_t taken = countersign_take_utf16(from + at, units - at, &c), size;
        if (c == 0xFFFD && (UINT16)from[at] != 0xFFFD && (flags & WC_ERR_INVALID_CHARS)) return 0;
        at += taken;
        size = countersign_put_utf8(utf8, c);
        if (space > 0) {
            if (bytes + size > (size_t)space) return 0;
            memcpy(to + bytes, utf8, size);
        }
        bytes += size;
    }
    return (int)bytes;
}

COUNTERSIGN_INLINE int MultiByteToWideChar(UINT page, DWORD flags, LPCSTR from, int count, LPWSTR to, int space) {
    (void)page;
    size_t bytes = 0, at = 0, units = 0;
    if (from == NULL || count == 0 || space < 0) return 0;
    bytes = count > 0 ? (size_t)count : strlen(from) + 1;
    while (at < bytes) {
        UINT32 c;
        size_t taken = countersign_take_utf8(from + at, bytes - at, &c), size = c < 0x10000 ? 1 : 2;
        if (c == 0xFFFD && taken == 1 && (flags & MB_ERR_INVALID_CHARS)) return 0;
        at += taken;
        if (space > 0) {
            if (units + size > (size_t)space) return 0;
            if (size == 1) to[units] = (WCHAR)c;
            else to[units] = (WCHAR)(0xD7C0 + (c >> 10)), to[units + 1] = (WCHAR)(0xDC00 | (c & 0x3FF));
        }
        units += size;
    }
    return (int)units;
}

/* ---- Strings. ----------------------------------------------------------------------------------------------- */

COUNTERSIGN_INLINE size_t countersign_wcsnlen(const WCHAR *text, size_t most) {
    size_t count = 0;
    while (count < most && text[count] != 0) count++;
    return count;
}
COUNTERSIGN_INLINE size_t countersign_wcslen(const WCHAR *text) { return countersign_wcsnlen(text, (size_t)-1); }
COUNTERSIGN_INLINE WCHAR *countersign_wmemcpy(WCHAR *to, const WCHAR *from, size_t count) {
    return (WCHAR *)memcpy(to, from, count * sizeof *to);
}
COUNTERSIGN_INLINE WCHAR *countersign_wmemset(WCHAR *to, WCHAR unit, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = unit;
    return to;
}
COUNTERSIGN_INLINE WCHAR *countersign_wcscpy(WCHAR *to, const WCHAR *from) {
    return countersign_wmemcpy(to, from, countersign_wcslen(from) + 1);
}
COUNTERSIGN_INLINE WCHAR *countersign_wcsncpy(WCHAR *to, const WCHAR *from, size_t count) {
    size_t length = countersign_wcsnlen(from, count);
    countersign_wmemcpy(to, from, length);
    countersign_wmemset(to + length, 0, count - length);
    return to;
}
COUNTERSIGN_INLINE WCHAR *countersign_wcscat(WCHAR *to, const WCHAR *from) {
    countersign_wcscpy(to + countersign_wcslen(to), from);
    return to;
}
COUNTERSIGN_INLINE WCHAR *countersign_wcsncat(WCHAR *to, const WCHAR *from, size_t count) {
    WCHAR *end = to + countersign_wcslen(to);
    size_t length = countersign_wcsnlen(from, count);
    countersign_wmemcpy(end, from, length);
    end[length] = 0;
    return to;
}
COUNTERSIGN_INLINE UINT16 countersign_fold(WCHAR unit) {
    return (UINT16)(unit >= 'A' && unit <= 'Z' ? unit + 32 : unit);
}
COUNTERSIGN_INLINE int countersign_wcsncmp(const WCHAR *a, const WCHAR *b, size_t count) {
    for (; count > 0; count--, a++, b++) {
        if (*a != *b) return (UINT16)*a < (UINT16)*b ? -1 : 1;
        if (*a == 0) break;
    }
    return 0;
}
COUNTERSIGN_INLINE int countersign_wcscmp(const WCHAR *a, const WCHAR *b) {
    return countersign_wcsncmp(a, b, (size_t)-1);
}
/* Without regard to case: of ASCII only, as in Windows' "C" locale. */
COUNTERSIGN_INLINE int countersign_wcsnicmp(const WCHAR *a, const WCHAR *b, size_t count) {
    for (; count > 0; count--, a++, b++) {
        UINT16 x = countersign_fold(*a), y = countersign_fold(*b);
        if (x != y) return x < y ? -1 : 1;
        if (x == 0) break;
    }
    return 0;
}
COUNTERSIGN_INLINE int countersign_wcsicmp(const WCHAR *a, const WCHAR *b) {
    return countersign_wcsnicmp(a, b, (size_t)-1);
}
COUNTERSIGN_INLINE WCHAR *countersign_wcschr(const WCHAR *text, WCHAR unit) {
    for (;; text++) {
        if (*text == unit) return (WCHAR *)text;
        if (*text == 0) return NULL;
    }
}
COUNTERSIGN_INLINE WCHAR *countersign_wcsrchr(const WCHAR *text, WCHAR unit) {
    const WCHAR *last = NULL;
    for (;; text++) {
        if (*text == unit) last = text;
        if (*text == 0) return (WCHAR *)last;
    }
}
COUNTERSIGN_INLINE WCHAR *countersign_wcsstr(const WCHAR *text, const WCHAR *part) {
    size_t length = countersign_wcslen(part);
    for (;; text++) {
        if (countersign_wcsncmp(text, part, length) == 0) return (WCHAR *)text;
        if (*text == 0) return NULL;
    }
}
COUNTERSIGN_INLINE WCHAR *countersign_wcsdup(const WCHAR *text) {
    size_t count = countersign_wcslen(text) + 1;
    WCHAR *copy = (WCHAR *)malloc(count * sizeof *copy);
    return copy == NULL ? NULL : countersign_wmemcpy(copy, text, count);
}

/* A number's digits are ASCII, so a narrow copy of them serves; 127 are more than any number has. */
COUNTERSIGN_INLINE void countersign_digits(const WCHAR *text, char *to) {
    size_t i = 0;
    for (; i < 127 && text[i] != 0 && (UINT16)text[i] < 128; i++) to[i] = (char)text[i];
    to[i] = 0;
}
COUNTERSIGN_INLINE long countersign_wcstol(const WCHAR *text, WCHAR **end, int base) {
    char digits[128], *stop;
    countersign_digits(text, digits);
    long value = strtol(digits, &stop, base);
    if (end != NULL) *end = (WCHAR *)text + (stop - digits);
    return value;
}
COUNTERSIGN_INLINE unsigned long countersign_wcstoul(const WCHAR *text, WCHAR **end, int base) {
    char digits[128], *stop;
    countersign_digits(text, digits);
    unsigned long value = strtoul(digits, &stop, base);
    if (end != NULL) *end = (WCHAR *)text + (stop - digits);
    return value;
}
COUNTERSIGN_INLINE int countersign_wtoi(const WCHAR *text) { return (int)countersign_wcstol(text, NULL, 10); }

COUNTERSIGN_INLINE size_t countersign_mbstowcs(WCHAR *to, const char *from, size_t space) {
    int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, from, -1, NULL, 0);
    if (units == 0) return (size_t)-1;
    if (to == NULL) return (size_t)units - 1;
    if ((size_t)units <= space) return (size_t)MultiByteToWideChar(CP_UTF8, 0, from, -1, to, units) - 1;
    /* What fits, without an end, as the C standard says. */
    WCHAR *whole = (WCHAR *)malloc((size_t)units * sizeof *whole);
    if (whole == NULL) return (size_t)-1;
    MultiByteToWideChar(CP_UTF8, 0, from, -1, whole, units);
    countersign_wmemcpy(to, whole, space);
    free(whole);
    return space;
}
COUNTERSIGN_INLINE size_t countersign_wcstombs(char *to, const WCHAR *from, size_t space) {
    int bytes = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, from, -1, NULL, 0, NULL, NULL);
    if (bytes == 0) return (size_t)-1;
    if (to == NULL) return (size_t)bytes - 1;
    if ((size_t)bytes <= space) return (size_t)WideCharToMultiByte(CP_UTF8, 0, from, -1, to, bytes, NULL, NULL) - 1;
    char *whole = (char *)malloc((size_t)bytes);
    if (whole == NULL) return (size_t)-1;
    WideCharToMultiByte(CP_UTF8, 0, from, -1, whole, bytes, NULL, NULL);
    memcpy(to, whole, space);
    free(whole);
    return space;
}

#define lstrlenW(text) ((int)countersign_wcslen(text))
#define lstrcpyW countersign_wcscpy
#define lstrcatW countersign_wcscat
#define lstrcmpW countersign_wcscmp
#define lstrcmpiW countersign_wcsicmp
#define lstrlenA(text) ((int)strlen(text))
#define lstrcpyA strcpy
#define lstrcatA strcat
#define lstrcmpA strcmp
#define lstrcmpiA strcasecmp
#define lstrlen COUNTERSIGN_AW(lstrlen)
#define lstrcpy COUNTERSIGN_AW(lstrcpy)
#define lstrcat COUNTERSIGN_AW(lstrcat)
#define lstrcmp COUNTERSIGN_AW(lstrcmp)
#define lstrcmpi COUNTERSIGN_AW(lstrcmpi)

#define _stricmp strcasecmp
#define _strnicmp strncasecmp
#define stricmp strcasecmp
#define strnicmp strncasecmp
#define _strdup strdup
#define _snprintf snprintf
#define _wcsicmp countersign_wcsicmp
#define _wcsnicmp countersign_wcsnicmp
#define _wcsdup countersign_wcsdup
#define _wtoi countersign_wtoi
#define _wtol countersign_wtoi

#include "format.h"

#if COUNTERSIGN_SHORT_WCHAR && !defined(COUNTERSIGN_NO_WIDE_NAMES)
#define fputws countersign_fputws
#define fwprintf countersign_fwprintf
#define mbstowcs countersign_mbstowcs
#define putwchar countersign_putwchar
#define _putws countersign_putws
#define _snwprintf countersign_swprintf
#define swprintf countersign_swprintf
#define swprintf_s countersign_swprintf
#define vfwprintf countersign_vfwprintf
#define vswprintf countersign_vswprintf
#define vwprintf countersign_vwprintf
#define wcscat countersign_wcscat
#define wcschr countersign_wcschr
#define wcscmp countersign_wcscmp
#define wcscpy countersign_wcscpy
#define wcsdup countersign_wcsdup
#define wcslen countersign_wcslen
#define wcsncat countersign_wcsncat
#define wcsncmp countersign_wcsncmp
#define wcsncpy countersign_wcsncpy
#define wcsnlen countersign_wcsnlen
#define wcsrchr countersign_wcsrchr
#define wcsstr countersign_wcsstr
#define wcstol countersign_wcstol
#define wcstombs countersign_wcstombs
#define wcstoul countersign_wcstoul
#define wmemcpy countersign_wmemcpy
#define wmemset countersign_wmemset
#define wprintf countersign_wprintf
#define wprintf_s countersign_wprintf
#endif

#endif
