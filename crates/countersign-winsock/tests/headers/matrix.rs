//! Every header, alone and among others, in every language and with every width of `wchar_t`.

use super::compile::{Source, headers};

const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"];
const C: &[&str] = &["-std=c11", "-std=gnu11", "-std=c17"];
const CXX: &[&str] = &["-std=c++17", "-std=gnu++20"];
const SWITCHES: &[&str] =
    &["-DUNICODE", "-fshort-wchar", "-DCOUNTERSIGN_NO_BSD_NAMES", "-D_FORTIFY_SOURCE=2"];

#[track_caller]
fn everywhere(text: &str) {
    for (name, compiler, standards) in [("it.c", "gcc", C), ("it.cpp", "g++", CXX)] {
        let source = Source::new(name, text);
        for standard in standards {
            source.compile(compiler, &[STRICT, &[standard, "-O1"]].concat());
            for switch in SWITCHES {
                source.compile(compiler, &[STRICT, &[standard, "-O1", switch]].concat());
            }
        }
    }
}

/// One header to a block, so that each is seen alone: a file is cheap, a compiler is not.
#[test]
fn each_header_alone() {
    for header in headers() {
        let text = format!("#include <{header}>\n#include <{header}>\nint use_it;\n");
        let c = Source::new("it.c", &text);
        c.compile("gcc", &[STRICT, &["-std=c11"]].concat());
        let cxx = Source::new("it.cpp", &text);
        cxx.compile("g++", &[STRICT, &["-std=c++17"]].concat());
    }
}

#[test]
fn all_of_them_together() {
    let all: String = headers().iter().map(|name| format!("#include <{name}>\n")).collect();
    everywhere(&all);
}

#[test]
fn in_any_order_with_the_headers_of_libc() {
    let libc = "#include <sys/socket.h>\n#include <netdb.h>\n#include <netinet/in.h>\n\
                #include <arpa/inet.h>\n#include <poll.h>\n#include <stdlib.h>\n\
                #include <unistd.h>\n#include <sys/ioctl.h>\n#include <wchar.h>\n";
    let ours = "#include <windows.h>\n#include <winsock2.h>\n#include <mstcpip.h>\n\
                #include <ws2tcpip.h>\n#include <ntdsapi.h>\n";
    everywhere(&format!("{libc}{ours}"));
    everywhere(&format!("{ours}{libc}"));
}

#[test]
fn in_any_order_with_each_other() {
    everywhere("#include <ws2tcpip.h>\n#include <windows.h>\n");
    everywhere("#include <mstcpip.h>\n#include <winsock2.h>\n");
    everywhere("#include <rpc.h>\n#include <ntdsapi.h>\n#include <Winsock2.h>\n");
}

/// What a program writes with these names, in the words of the reference.
const USES: &str = r#"
static int uses(SOCKET s) {
    fd_set set;
    struct timeval wait = { 1, 0 };
    struct sockaddr_in v4;
    SOCKADDR_IN6 v6;
    struct addrinfo hints, *found = NULL;
    struct linger linger = { 1, 2 };
    WSAPOLLFD poll[1];
    u_long mode = 1;
    IN6_ADDR any = IN6ADDR_ANY_INIT;
    FD_ZERO(&set);
    FD_SET(s, &set);
    FD_CLR(s, &set);
    memset(&v4, 0, sizeof v4);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4.sin_addr.S_un.S_addr = inet_addr("127.0.0.1");
    memset(&v6, 0, sizeof v6);
    v6.sin6_addr = in6addr_any;
    v6.sin6_scope_id = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    poll[0].fd = s;
    poll[0].events = POLLIN;
    return bind(s, (SOCKADDR *)&v4, sizeof v4) + connect(s, (const struct sockaddr *)&v6, sizeof v6)
        + (int)send(s, "x", 1, 0) + select(0, &set, NULL, NULL, &wait) + FD_ISSET(s, &set)
        + getaddrinfo("a", "b", &hints, &found) + ioctlsocket(s, FIONBIO, &mode)
        + setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof linger)
        + WSAPoll(poll, 1, 0) + IN6_IS_ADDR_LOOPBACK(&any) + (accept(s, NULL, NULL) == INVALID_SOCKET)
        + closesocket(s);
}
int (*use_it)(SOCKET) = uses;
"#;

#[test]
fn bsd_names_are_those_of_winsock() {
    let text = format!("#include <winsock2.h>\n#include <ws2tcpip.h>\n{USES}");
    let c = Source::new("it.c", &text);
    let cxx = Source::new("it.cpp", &text);
    for wide in ["-fshort-wchar", "-DUNICODE"] {
        c.compile("gcc", &[STRICT, &["-std=c11", wide]].concat());
        cxx.compile("g++", &[STRICT, &["-std=c++17", wide]].concat());
    }
}

/// The worst that a header could do: let a program send in clear because `send` was libc's.
#[test]
fn no_bsd_name_reaches_libc() {
    let text = format!("#include <winsock2.h>\n#include <ws2tcpip.h>\n{USES}");
    for (name, compiler) in [("it.c", "gcc"), ("it.cpp", "g++")] {
        let source = Source::new(name, &text);
        source.compile(compiler, &["-c", "-o", "it.o"]);
        let nm = std::process::Command::new("nm").arg("-u").arg(source.path("it.o")).output();
        let undefined = String::from_utf8(nm.expect("nm runs").stdout).expect("ASCII");
        let wanted: Vec<&str> = undefined.split_whitespace().filter(|word| *word != "U").collect();
        assert!(wanted.contains(&"countersign_ws_send"), "{wanted:?}");
        for name in ["send", "bind", "connect", "accept", "select", "getaddrinfo", "setsockopt"] {
            assert!(!wanted.contains(&name), "{name} is libc's: {wanted:?}");
        }
    }
}

#[test]
fn std_bind_still_works() {
    let text = "#include <functional>\n#include <winsock2.h>\n\
                static int add(int a, int b) { return a + b; }\n\
                int main() {\n\
                auto one = std::bind(add, 1, std::placeholders::_1);\n\
                auto two = std::bind<int>(add, 1, 1);\n\
                return one(2) + two() == 5 ? 0 : 1; }\n";
    for order in ["", "#include <winsock2.h>\n"] {
        let source = Source::new("it.cpp", &format!("{order}{text}"));
        source.run("g++", &["-std=c++17", "-Wall", "-Werror"], &[]);
    }
}
