/* printf of 16-bit strings by Windows' rules, and the entry point wmain. Included by wide.h. */
#ifndef COUNTERSIGN_FORMAT_H
#define COUNTERSIGN_FORMAT_H

/* Text that grows; `failed` once there is no memory, and then it stays as it was. */
struct countersign_text {
    char *bytes;
    size_t used, space;
    int failed;
};

COUNTERSIGN_INLINE void countersign_append(struct countersign_text *text, const char *bytes, size_t count) {
    if (text->space - text->used < count + 1) {
        size_t space = (text->space + count + 1) * 2;
        char *grown = text->failed ? NULL : (char *)realloc(text->bytes, space);
        if (grown == NULL) {
            text->failed = 1;
            return;
        }
        text->bytes = grown, text->space = space;
    }
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
    text->bytes[text->used] = 0;
}

enum countersign_size {
    COUNTERSIGN_INT,
    COUNTERSIGN_CHAR,
    COUNTERSIGN_SHORT,
    COUNTERSIGN_LONG, /* 32 bits */
    COUNTERSIGN_64,
    COUNTERSIGN_LDOUBLE
};

/* One conversion: %[flags][width][.precision][size]letter. */
struct countersign_conversion {
    char flags[8];
    int width, precision; /* -1: not given */
    enum countersign_size size;
    int letter;
};

COUNTERSIGN_INLINE void countersign_append_padded(struct countersign_text *text, const struct countersign_conversion *it,
    const char *bytes, size_t count, size_t characters) {
    size_t pad = it->width > 0 && (size_t)it->width > characters ? (size_t)it->width - characters : 0;
    int left = strchr(it->flags, '-') != NULL;
    for (size_t i = 0; !left && i < pad; i++) countersign_append(text, " ", 1);
    countersign_append(text, bytes, count);
    for (size_t i = 0; left && i < pad; i++) countersign_append(text, " ", 1);
}

COUNTERSIGN_INLINE void countersign_append_wide(struct countersign_text *text, const struct countersign_conversion *it,
    const WCHAR *wide) {
    static const WCHAR null[] = { '(', 'n', 'u', 'l', 'l', ')', 0 };
    struct countersign_text utf8 = { NULL, 0, 0, 0 };
    if (wide == NULL) wide = null;
    size_t units = countersign_wcsnlen(wide, it->precision < 0 ? (size_t)-1 : (size_t)it->precision), at = 0;
    countersign_append(&utf8, "", 0);
    while (at < units) {
        UINT32 c;
        char bytes[4];
        at += countersign_take_utf16(wide + at, units - at, &c);
        countersign_append(&utf8, bytes, countersign_put_utf8(bytes, c));
    }
    if (!utf8.failed) countersign_append_padded(text, it, utf8.bytes, utf8.used, units);
    text->failed |= utf8.failed;
    free(utf8.bytes);
}

COUNTERSIGN_INLINE void countersign_append_narrow(struct countersign_text *text, const struct countersign_conversion *it,
    const char *narrow) {
    if (narrow == NULL) narrow = "(null)";
    size_t count = 0;
    while ((it->precision < 0 || count < (size_t)it->precision) && narrow[count] != 0) count++;
    countersign_append_padded(text, it, narrow, count, count);
}

/* Numbers are libc's to format: the same conversion with a size that says what is passed here. */
#define COUNTERSIGN_NUMBER(text, it, size, value)                                                        \
    do {                                                                                                 \
        char spec[32], out[512];                                                                         \
        if ((it)->precision >= 0)                                                                        \
            snprintf(spec, sizeof spec, "%%%s*.*%s%c", (it)->flags, size, (it)->letter);                 \
        else                                                                                             \
            snprintf(spec, sizeof spec, "%%%s*%s%c", (it)->flags, size, (it)->letter);                   \
        int width_ = (it)->width < 0 ? 0 : (it)->width > 400 ? 400 : (it)->width;                        \
        int precision_ = (it)->precision > 400 ? 400 : (it)->precision;                                  \
        int count_ = (it)->precision >= 0 ? snprintf(out, sizeof out, spec, width_, precision_, value)   \
                                          : snprintf(out, sizeof out, spec, width_, value);              \
        if (count_ >= (int)sizeof out) count_ = (int)sizeof out - 1;                                     \
        if (count_ > 0) countersign_append(text, out, (size_t)count_);                                   \
    } while (0)

/* `arguments` is a structure so that it can be passed on, which a va_list may not allow. */
struct countersign_arguments {
    va_list list;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
COUNTERSIGN_INLINE void countersign_convert(struct countersign_text *text, struct countersign_conversion *it,
    struct countersign_arguments *arguments) {
    switch (it->letter) {
    case 'd': case 'i': {
        long long value = it->size == COUNTERSIGN_64 ? va_arg(arguments->list, long long) : va_arg(arguments->list, int);
        if (it->size == COUNTERSIGN_SHORT) value = (short)value;
        if (it->size == COUNTERSIGN_CHAR) value = (signed char)value;
        COUNTERSIGN_NUMBER(text, it, "ll", value);
        break;
    }
    case 'u': case 'x': case 'X': case 'o': {
        unsigned long long value = it->size == COUNTERSIGN_64 ? va_arg(arguments->list, unsigned long long)
                                                              : va_arg(arguments->list, unsigned);
        if (it->size == COUNTERSIGN_SHORT) value = (unsigned short)value;
        if (it->size == COUNTERSIGN_CHAR) value = (unsigned char)value;
        COUNTERSIGN_NUMBER(text, it, "ll", value);
        break;
    }
    case 'e': case 'E': case 'f': case 'F': case 'g': case 'G': case 'a': case 'A':
        if (it->size == COUNTERSIGN_LDOUBLE) COUNTERSIGN_NUMBER(text, it, "L", va_arg(arguments->list, long double));
        else COUNTERSIGN_NUMBER(text, it, "", va_arg(arguments->list, double));
        break;
    case 'p': {
        char out[24];
        int count = snprintf(out, sizeof out, "%016llX",
            (unsigned long long)(uintptr_t)va_arg(arguments->list, void *));
        countersign_append_padded(text, it, out, (size_t)count, (size_t)count);
        break;
    }
    case 's': case 'S':
        if (it->size == COUNTERSIGN_SHORT || (it->letter == 'S' && it->size == COUNTERSIGN_INT))
            countersign_append_narrow(text, it, va_arg(arguments->list, const char *));
        else countersign_append_wide(text, it, va_arg(arguments->list, const WCHAR *));
        break;
    case 'c': case 'C': {
        WCHAR unit[2] = { (WCHAR)va_arg(arguments->list, int), 0 };
        it->precision = 1;
        countersign_append_wide(text, it, unit);
        break;
    }
    case '%': countersign_append(text, "%", 1); break;
    default: break; /* %n too, which writes into memory: not done, as on Windows */
    }
}
#pragma GCC diagnostic pop

COUNTERSIGN_INLINE const WCHAR *countersign_number(const WCHAR *at, int *value, struct countersign_arguments *arguments) {
    if (*at == '*') {
        *value = va_arg(arguments->list, int);
        return at + 1;
    }
    for (*value = 0; *at >= '0' && *at <= '9'; at++)
        if (*value < 100000) *value = *value * 10 + (*at - '0');
    return at;
}

/* Reads what stands after a percent sign. */
COUNTERSIGN_INLINE const WCHAR *countersign_read_conversion(const WCHAR *at, struct countersign_conversion *it,
    struct countersign_arguments *arguments) {
    size_t flags = 0;
    memset(it, 0, sizeof *it);
    it->precision = -1;
    for (; *at != 0 && *at < 128 && strchr("-+ #0", (int)*at) != NULL; at++)
        if (flags < 5) it->flags[flags++] = (char)*at;
    at = countersign_number(at, &it->width, arguments);
    if (it->width < 0) it->flags[flags] = '-', it->width = -it->width;
    if (*at == '.') at = countersign_number(at + 1, &it->precision, arguments);
    for (;; at++) {
        if (*at == 'h') it->size = it->size == COUNTERSIGN_SHORT ? COUNTERSIGN_CHAR : COUNTERSIGN_SHORT;
        else if (*at == 'l') it->size = it->size == COUNTERSIGN_LONG ? COUNTERSIGN_64 : COUNTERSIGN_LONG;
        else if (*at == 'w') it->size = COUNTERSIGN_LONG;
        else if (*at == 'j' || *at == 'z' || *at == 't') it->size = COUNTERSIGN_64;
        else if (*at == 'L') it->size = COUNTERSIGN_LDOUBLE;
        else if (*at == 'I' && at[1] == '6' && at[2] == '4') it->size = COUNTERSIGN_64, at += 2;
        else if (*at == 'I' && at[1] == '3' && at[2] == '2') at += 2;
        else if (*at == 'I') it->size = COUNTERSIGN_64;
        else break;
    }
    it->letter = *at < 128 ? (int)*at : 0;
    return *at == 0 ? at : at + 1;
}

/* Formats into UTF-8, which the caller frees. */
COUNTERSIGN_INLINE struct countersign_text countersign_vformat(const WCHAR *format, struct countersign_arguments *arguments) {
    struct countersign_text text = { NULL, 0, 0, 0 };
    countersign_append(&text, "", 0);
    while (*format != 0 && !text.failed) {
        if (*format == '%') {
            struct countersign_conversion it;
            format = countersign_read_conversion(format + 1, &it, arguments);
            countersign_convert(&text, &it, arguments);
        } else {
            UINT32 c;
            char bytes[4];
            format += countersign_take_utf16(format, format[1] != 0 ? 2 : 1, &c);
            countersign_append(&text, bytes, countersign_put_utf8(bytes, c));
        }
    }
    return text;
}

COUNTERSIGN_INLINE int countersign_vfwprintf(FILE *file, const WCHAR *format, va_list list) {
    struct countersign_arguments arguments;
    va_copy(arguments.list, list);
    struct countersign_text text = countersign_vformat(format, &arguments);
    va_end(arguments.list);
    int failed = text.failed || fwrite(text.bytes, 1, text.used, file) != text.used;
    free(text.bytes);
    return failed ? -1 : (int)text.used;
}
COUNTERSIGN_INLINE int countersign_vwprintf(const WCHAR *format, va_list list) {
    return countersign_vfwprintf(stdout, format, list);
}
COUNTERSIGN_INLINE int countersign_fwprintf(FILE *file, const WCHAR *format, ...) {
    va_list list;
    va_start(list, format);
    int result = countersign_vfwprintf(file, format, list);
    va_end(list);
    return result;
}
COUNTERSIGN_INLINE int countersign_wprintf(const WCHAR *format, ...) {
    va_list list;
    va_start(list, format);
    int result = countersign_vfwprintf(stdout, format, list);
    va_end(list);
    return result;
}
/* Always ends the string; -1 if it does not fit, and then nothing but an end is written. */
COUNTERSIGN_INLINE int countersign_vswprintf(WCHAR *to, size_t space, const WCHAR *format, va_list list) {
    struct countersign_arguments arguments;
    va_copy(arguments.list, list);
    struct countersign_text text = countersign_vformat(format, &arguments);
    va_end(arguments.list);
    int units = 0;
    if (space > 0) to[0] = 0;
    if (!text.failed && space > 0 && space <= INT_MAX)
        units = MultiByteToWideChar(CP_UTF8, 0, text.bytes, -1, to, (int)space);
    if (units == 0 && space > 0) to[0] = 0;
    free(text.bytes);
    return units - 1;
}
COUNTERSIGN_INLINE int countersign_swprintf(WCHAR *to, size_t space, const WCHAR *format, ...) {
    va_list list;
    va_start(list, format);
    int result = countersign_vswprintf(to, space, format, list);
    va_end(list);
    return result;
}

COUNTERSIGN_INLINE int countersign_fputws(const WCHAR *wide, FILE *file) {
    static const struct countersign_conversion plain = { "", 0, -1, COUNTERSIGN_LONG, 's' };
    struct countersign_text text = { NULL, 0, 0, 0 };
    countersign_append_wide(&text, &plain, wide);
    int failed = text.failed || fwrite(text.bytes == NULL ? "" : text.bytes, 1, text.used, file) != text.used;
    free(text.bytes);
    return failed ? -1 : 0;
}
COUNTERSIGN_INLINE int countersign_putws(const WCHAR *wide) {
    return countersign_fputws(wide, stdout) < 0 || fputc('\n', stdout) < 0 ? -1 : 0;
}
COUNTERSIGN_INLINE int countersign_putwchar(WCHAR unit) {
    WCHAR text[2] = { unit, 0 };
    return countersign_fputws(text, stdout) < 0 ? -1 : (int)unit;
}

/* Runs wmain with the arguments as wchar_t, of 16 bits or of 32. */
COUNTERSIGN_INLINE int countersign_run_wmain(int argc, char **argv, int (*run)(int, wchar_t **, wchar_t **)) {
    wchar_t **wide = (wchar_t **)calloc((size_t)argc + 1, sizeof *wide);
    wchar_t *none[1] = { NULL };
    for (int i = 0; wide != NULL && i < argc; i++) {
        size_t left = strlen(argv[i]), at = 0;
        /* No character has more units in UTF-16 or UTF-32 than bytes in UTF-8. */
        wchar_t *to = wide[i] = (wchar_t *)calloc(left + 1, sizeof *to);
        if (to == NULL) return 3;
        while (at < left) {
            UINT32 c;
            at += countersign_take_utf8(argv[i] + at, left - at, &c);
            if (sizeof *to == 4 || c < 0x10000) *to++ = (wchar_t)c;
            else *to++ = (wchar_t)(0xD7C0 + (c >> 10)), *to++ = (wchar_t)(0xDC00 | (c & 0x3FF));
        }
    }
    if (wide == NULL) return 3;
    int result = run(argc, wide, none);
    for (int i = 0; i < argc; i++) free(wide[i]);
    free(wide);
    return result;
}

/* `int wmain(...) { ... }` defines main as well. A program that declares wmain beforehand, or calls it, says
 * COUNTERSIGN_NO_WMAIN and has a main of its own. */
#ifndef COUNTERSIGN_NO_WMAIN
#define wmain(...)                                                                             \
    countersign_wmain(__VA_ARGS__);                                                            \
    int main(int countersign_argc, char **countersign_argv) {                                  \
        return countersign_run_wmain(countersign_argc, countersign_argv,                       \
            (int (*)(int, wchar_t **, wchar_t **))(void (*)(void))countersign_wmain);              \
    }                                                                                          \
    int countersign_wmain(__VA_ARGS__)
#endif

#endif
