/* Text that is narrow or wide as UNICODE (or _UNICODE) says. */
#ifndef COUNTERSIGN_TCHAR_H
#define COUNTERSIGN_TCHAR_H

#if defined(_UNICODE) && !defined(UNICODE)
#define UNICODE
#endif
#include "windows.h"

#define _T(text) __TEXT(text)
#define _TEXT(text) __TEXT(text)
typedef TCHAR _TCHAR, _TSCHAR;

#ifdef UNICODE
#define _tmain wmain
#define _tprintf wprintf
#define _ftprintf fwprintf
#define _stprintf_s swprintf_s
#define _sntprintf _snwprintf
#define _tcslen wcslen
#define _tcscpy wcscpy
#define _tcscat wcscat
#define _tcscmp wcscmp
#define _tcsncmp wcsncmp
#define _tcsicmp _wcsicmp
#define _tcschr wcschr
#define _ttoi _wtoi
#else
#define _tmain main
#define _tprintf printf
#define _ftprintf fprintf
#define _stprintf_s snprintf
#define _sntprintf snprintf
#define _tcslen strlen
#define _tcscpy strcpy
#define _tcscat strcat
#define _tcscmp strcmp
#define _tcsncmp strncmp
#define _tcsicmp _stricmp
#define _tcschr strchr
#define _ttoi atoi
#endif

#endif
