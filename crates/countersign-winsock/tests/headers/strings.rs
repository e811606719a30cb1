//! The strings of 16-bit units, and `wmain`: what libc has in 32 bits.

use super::compile::Source;

const SHORT: &[&str] = &["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fshort-wchar"];
const CHECKED: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"];

#[track_caller]
fn prints(body: &str, expected: &str) {
    let text = format!(
        "#include <windows.h>\n#include <strsafe.h>\n#include <tchar.h>\n\
         int wmain(int argc, const wchar_t *const argv[]) {{ (void)argc; (void)argv;\n{body}\n\
         return 0; }}\n"
    );
    let arguments = ["ä€𝄞"];
    let source = Source::new("it.c", &text);
    assert_eq!(source.run("gcc", &[SHORT, CHECKED].concat(), &arguments), expected);
    let cxx = Source::new("it.cpp", &text);
    let flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fshort-wchar"];
    assert_eq!(cxx.run("g++", &[&flags, CHECKED].concat(), &arguments), expected);
}

#[test]
fn wmain_gets_utf_16() {
    prints(
        r#"wprintf(L"%d %d %04x %s\n", argc, (int)wcslen(argv[1]), (unsigned)argv[1][2], argv[1]);"#,
        "2 4 d834 ä€𝄞\n",
    );
}

#[test]
fn wide_format_is_that_of_windows() {
    prints(
        r#"wprintf(L"[%s|%S|%hs|%ls|%ws]", L"wide", "narrow", "narrow", L"wide", L"wide");"#,
        "[wide|narrow|narrow|wide|wide]",
    );
    prints(
        r#"DWORD big = 0xFFFFFFFF; LONG minus = -5;
           wprintf(L"[%lu|%ld|%I64d|%llu|%I32u|%hd|%hhx]", big, minus, -7LL, ~0ULL, 9u, 65537, 511);"#,
        "[4294967295|-5|-7|18446744073709551615|9|1|ff]",
    );
    prints(
        r#"wprintf(L"[%5d|%-5d|%05d|%+d|%#x|%.3d|%*d]", 42, 42, 42, 42, 42, 42, 6, 42);"#,
        "[   42|42   |00042|+42|0x2a|042|    42]",
    );
    prints(
        r#"wprintf(L"[%8s|%-8s|%.2s|%c|%C|%%]", L"abc", L"abc", L"abc", L'x', 'y');"#,
        "[     abc|abc     |ab|x|y|%]",
    );
    prints(r#"wprintf(L"[%.2f|%g|%e]", 1.5, 0.25, 1.0);"#, "[1.50|0.25|1.000000e+00]");
    prints(
        r#"const wchar_t *none = NULL; wprintf(L"[%s|%p]", none, (void *)0x1F);"#,
        "[(null)|000000000000001F]",
    );
}

#[test]
fn wide_functions() {
    prints(
        r#"wchar_t a[16]; wcscpy(a, L"host/"); wcscat(a, L"db1"); wcsncat(a, L"xyz", 1);
           wprintf(L"%s %d %d %s %s %d %ld", a, wcscmp(a, L"host"), _wcsicmp(a, L"HOST/DB1X"),
                   wcschr(a, L'/'), wcsstr(a, L"db"), (int)wcslen(a), (LONG)wcstol(L"-12x", NULL, 10));"#,
        "host/db1x 1 0 /db1x db1x 9 -12",
    );
    prints(
        r#"wchar_t a[8]; int n = swprintf(a, 8, L"%s-%d", L"ab", 12), m = swprintf(a, 3, L"%s", L"abcd");
           wprintf(L"%d %d [%s]", n, m, a);"#,
        "5 -1 []",
    );
}

#[test]
fn between_utf_8_and_utf_16() {
    prints(
        r#"char b[16]; wchar_t w[8];
           int n = WideCharToMultiByte(CP_UTF8, 0, L"\x00e4\xd834\xdd1e", -1, b, 16, NULL, NULL);
           int m = MultiByteToWideChar(CP_UTF8, 0, b, -1, w, 8);
           int bad = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, "\xff", -1, w, 8);
           int small = MultiByteToWideChar(CP_UTF8, 0, "abc", -1, w, 2);
           printf("%d %d %d %d %s", n, m, bad, small, b);"#,
        "7 4 0 0 ä𝄞",
    );
}

#[test]
fn safe_strings() {
    prints(
        r#"wchar_t a[6]; char b[6];
           HRESULT x = StringCchPrintfW(a, 6, L"%s", L"hello"), y = StringCchCopyW(a, 3, L"hello");
           HRESULT z = StringCchPrintfA(b, 6, "%s", "toolong");
           wprintf(L"%d %d %d %s %S", x == S_OK, FAILED(y), FAILED(z), a, b);"#,
        "1 1 1 he toolo",
    );
}

#[test]
fn text_that_is_narrow_or_wide() {
    let text = "#include <tchar.h>\n\
                int _tmain(int argc, _TCHAR *argv[]) { (void)argv;\n\
                TCHAR it[] = _T(\"text\"); _tprintf(_T(\"%d %d\"), argc, (int)_tcslen(it)); return 0; }\n";
    let source = Source::new("it.c", text);
    assert_eq!(source.run("gcc", &["-std=gnu11", "-Wall", "-Werror"], &["a"]), "2 4");
    let wide = ["-std=gnu11", "-Wall", "-Werror", "-fshort-wchar", "-D_UNICODE"];
    assert_eq!(source.run("gcc", &wide, &["a"]), "2 4");
}
