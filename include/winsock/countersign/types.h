/* Windows' names for types, with Windows' sizes, on Linux.
 *
 * LONG, DWORD and ULONG have 32 bits here as there, whatever `long` has; WCHAR has 16 bits, so that structures
 * and strings have the same bytes as on Windows. Under -fshort-wchar WCHAR is wchar_t and L"" makes such
 * strings; without it WCHAR is char16_t and u"" does.
 */
#ifndef COUNTERSIGN_TYPES_H
#define COUNTERSIGN_TYPES_H

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#ifdef __cplusplus
#define COUNTERSIGN_BEGIN extern "C" {
#define COUNTERSIGN_END }
#define COUNTERSIGN_ASSERT(condition) static_assert(condition, #condition)
#define COUNTERSIGN_ALIGN(type) alignof(type)
#define COUNTERSIGN_FLEXIBLE 0
#else
#define COUNTERSIGN_BEGIN
#define COUNTERSIGN_END
#define COUNTERSIGN_ASSERT(condition) _Static_assert(condition, #condition)
#define COUNTERSIGN_ALIGN(type) _Alignof(type)
#define COUNTERSIGN_FLEXIBLE
#endif

/* A function of a header: one copy a file that uses it, none in the library. */
#define COUNTERSIGN_INLINE static inline __attribute__((unused))

#if __SIZEOF_WCHAR_T__ == 2
#define COUNTERSIGN_SHORT_WCHAR 1
typedef wchar_t WCHAR;
#else
#define COUNTERSIGN_SHORT_WCHAR 0
#ifdef __cplusplus
typedef char16_t WCHAR;
#else
typedef __CHAR16_TYPE__ WCHAR;
#endif
#endif

/* Calling conventions and attributes: there is one convention here. */
#define WINAPI
#define WSAAPI
#define CALLBACK
#define APIENTRY
#define PASCAL
#define FAR
#define NEAR
#define CONST const
#define IN
#define OUT
#define OPTIONAL
#ifndef __cdecl
#define __cdecl
#endif
#ifndef _cdecl
#define _cdecl
#endif
#ifndef __stdcall
#define __stdcall
#endif
#ifndef __fastcall
#define __fastcall
#endif
#ifndef __declspec
#define __declspec(what)
#endif
#ifndef __forceinline
#define __forceinline inline
#endif
#define DECLSPEC_IMPORT
#define WINBASEAPI
#define WINSOCK_API_LINKAGE
#define UNREFERENCED_PARAMETER(it) ((void)(it))
#define DBG_UNREFERENCED_PARAMETER(it) ((void)(it))

#ifndef _MSC_VER
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#endif

/* VOID is a macro, as there: `f(VOID)` would not do for a type in C++. */
#define VOID void
typedef char CHAR;
typedef signed char INT8;
typedef unsigned char UCHAR, UINT8, BYTE, BOOLEAN;
typedef int16_t SHORT, INT16;
typedef uint16_t USHORT, UINT16, WORD;
typedef int32_t INT, INT32, LONG, LONG32, BOOL;
typedef uint32_t UINT, UINT32, ULONG, ULONG32, DWORD, DWORD32;
typedef long long LONGLONG, INT64, LONG64;
typedef unsigned long long ULONGLONG, UINT64, ULONG64, DWORD64, DWORDLONG;
typedef float FLOAT;
typedef double DOUBLE;
typedef intptr_t INT_PTR, LONG_PTR;
typedef uintptr_t UINT_PTR, ULONG_PTR, DWORD_PTR;
typedef size_t SIZE_T;
typedef ptrdiff_t SSIZE_T;
typedef LONG HRESULT, NTSTATUS;
typedef DWORD ACCESS_MASK, LCID, COLORREF;
typedef WORD LANGID, ATOM;

typedef void *PVOID, *LPVOID, *HANDLE;
typedef const void *PCVOID, *LPCVOID;
typedef HANDLE HINSTANCE, HMODULE, HWND, HLOCAL, HGLOBAL;
typedef HANDLE *PHANDLE, *LPHANDLE;
typedef CHAR *PCHAR, *LPCH, *PCH, *PSTR, *LPSTR, *NPSTR;
typedef const CHAR *PCSTR, *LPCSTR, *LPCCH, *PCCH;
typedef WCHAR *PWCHAR, *LPWCH, *PWCH, *PWSTR, *LPWSTR, *NWPSTR;
typedef const WCHAR *PCWSTR, *LPCWSTR, *LPCWCH, *PCWCH;
typedef BYTE *PBYTE, *LPBYTE;
typedef UCHAR *PUCHAR;
typedef BOOLEAN *PBOOLEAN;
typedef BOOL *PBOOL, *LPBOOL;
typedef SHORT *PSHORT;
typedef USHORT *PUSHORT;
typedef WORD *PWORD, *LPWORD;
typedef INT *PINT, *LPINT;
typedef UINT *PUINT;
typedef UINT32 *PUINT32;
typedef UINT64 *PUINT64;
typedef LONG *PLONG, *LPLONG;
typedef ULONG *PULONG;
typedef DWORD *PDWORD, *LPDWORD;
typedef ULONG_PTR *PULONG_PTR;
typedef DWORD_PTR *PDWORD_PTR;
typedef SIZE_T *PSIZE_T;
typedef UINT_PTR WPARAM;
typedef LONG_PTR LPARAM, LRESULT;
typedef int (*FARPROC)(void);

#ifdef UNICODE
typedef WCHAR TCHAR, *PTCHAR;
typedef LPWSTR LPTSTR, PTSTR;
typedef LPCWSTR LPCTSTR, PCTSTR;
#if COUNTERSIGN_SHORT_WCHAR
#define __TEXT(text) L##text
#else
#define __TEXT(text) u##text
#endif
#define COUNTERSIGN_AW(name) name##W
#else
typedef CHAR TCHAR, *PTCHAR;
typedef LPSTR LPTSTR, PTSTR;
typedef LPCSTR LPCTSTR, PCTSTR;
#define __TEXT(text) text
#define COUNTERSIGN_AW(name) name##A
#endif
#define TEXT(text) __TEXT(text)

typedef struct _GUID {
    UINT32 Data1;
    UINT16 Data2;
    UINT16 Data3;
    UINT8 Data4[8];
} GUID, *LPGUID, *PGUID, UUID;
typedef const GUID *LPCGUID;
#define GUID_DEFINED 1
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
    static const GUID name __attribute__((unused)) = { l, w1, w2, { b1, b2, b3, b4, b5, b6, b7, b8 } }
#ifdef __cplusplus
#define REFGUID const GUID &
#else
#define REFGUID const GUID *
#endif

typedef union _LARGE_INTEGER {
    struct { DWORD LowPart; LONG HighPart; } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;
typedef union _ULARGE_INTEGER {
    struct { DWORD LowPart; DWORD HighPart; } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _SECURITY_ATTRIBUTES {
    DWORD nLength;
    LPVOID lpSecurityDescriptor;
    BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *PSECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

typedef struct _OVERLAPPED {
    ULONG_PTR Internal;
    ULONG_PTR InternalHigh;
    __extension__ union {
        __extension__ struct { DWORD Offset; DWORD OffsetHigh; };
        PVOID Pointer;
    };
    HANDLE hEvent;
} OVERLAPPED, *LPOVERLAPPED;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#define MAX_PATH 260
#define INVALID_HANDLE_VALUE ((HANDLE)(LONG_PTR)-1)
#define INFINITE 0xFFFFFFFFu
#define MAXUSHORT 0xFFFF
#define MAXULONG 0xFFFFFFFFu
#define MAXDWORD 0xFFFFFFFFu

#define MAKEWORD(low, high) ((WORD)((BYTE)(low) | ((WORD)(BYTE)(high)) << 8))
#define MAKELONG(low, high) ((LONG)((WORD)(low) | ((DWORD)(WORD)(high)) << 16))
#define LOWORD(it) ((WORD)((DWORD_PTR)(it) & 0xFFFF))
#define HIWORD(it) ((WORD)(((DWORD_PTR)(it) >> 16) & 0xFFFF))
#define LOBYTE(it) ((BYTE)((DWORD_PTR)(it) & 0xFF))
#define HIBYTE(it) ((BYTE)(((DWORD_PTR)(it) >> 8) & 0xFF))

#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ARRAYSIZE(array) RTL_NUMBER_OF(array)
#define _countof(array) RTL_NUMBER_OF(array)
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((DWORD)offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define CONTAINING_RECORD(address, type, field) ((type *)((char *)(address) - offsetof(type, field)))
#define C_ASSERT(condition) COUNTERSIGN_ASSERT(condition)

#include "../sal.h"
#define COUNTERSIGN_DEFINED_TYPES
#include "checks.h"

#endif
