//! What C and we must agree on to call each other: types with Windows' layouts, and numbers.
//!
//! The structures of the security functions are in `layout`; the rest is here.

#![expect(missing_docs, reason = "names, fields and meanings are Winsock's own")]
#![expect(clippy::exhaustive_structs, reason = "layouts are fixed by the ABI")]

use std::ffi::{c_char, c_int, c_void};

/// `SOCKET`: a descriptor, or [`INVALID_SOCKET`].
pub type Socket = usize;
/// `HANDLE`, `WSAEVENT`: a number that only this library understands.
pub type Handle = *mut c_void;

pub const INVALID_SOCKET: Socket = usize::MAX;
pub const SOCKET_ERROR: c_int = -1;
pub const WSA_INVALID_EVENT: Handle = std::ptr::null_mut();

pub const FALSE: c_int = 0;
pub const TRUE: c_int = 1;

/// `WSABUF`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WSABUF {
    pub len: u32,
    pub buf: *mut u8,
}

/// `WSAOVERLAPPED`.
#[repr(C)]
#[derive(Debug)]
pub struct WSAOVERLAPPED {
    pub internal: usize,
    pub internal_high: usize,
    pub offset: u32,
    pub offset_high: u32,
    pub event: Handle,
}

/// `LPWSAOVERLAPPED_COMPLETION_ROUTINE`.
pub type CompletionRoutine = Option<unsafe extern "C" fn(u32, u32, *mut WSAOVERLAPPED, u32)>;

/// `WSAMSG`.
#[repr(C)]
#[derive(Debug)]
pub struct WSAMSG {
    pub name: *mut u8,
    pub namelen: c_int,
    pub buffers: *mut WSABUF,
    pub buffer_count: u32,
    pub control: WSABUF,
    pub flags: u32,
}

/// `WSACMSGHDR`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WSACMSGHDR {
    pub len: usize,
    pub level: c_int,
    pub kind: c_int,
}

/// `WSAPOLLFD`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WSAPOLLFD {
    pub fd: Socket,
    pub events: i16,
    pub revents: i16,
}

/// The beginning of an `fd_set`; `fd_count` sockets follow.
#[repr(C)]
#[derive(Debug)]
pub struct FdSet {
    pub fd_count: u32,
    pub fd_array: [Socket; 64],
}

/// `WSANETWORKEVENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WSANETWORKEVENTS {
    pub network_events: i32,
    pub error_code: [c_int; FD_MAX_EVENTS],
}

/// `LINGER`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LINGER {
    pub onoff: u16,
    pub linger: u16,
}

/// `WSADATA`, in the order of 64-bit Windows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WSADATA {
    pub version: u16,
    pub high_version: u16,
    pub max_sockets: u16,
    pub max_udp_dg: u16,
    pub vendor_info: *mut c_char,
    pub description: [c_char; 257],
    pub system_status: [c_char; 129],
}

/// `LPCONDITIONPROC` of `WSAAccept`.
pub type ConditionProc = Option<
    unsafe extern "C" fn(
        *mut WSABUF,
        *mut WSABUF,
        *mut c_void,
        *mut c_void,
        *mut WSABUF,
        *mut WSABUF,
        *mut u32,
        usize,
    ) -> c_int,
>;

pub const CF_ACCEPT: c_int = 0;
pub const CF_REJECT: c_int = 1;
pub const CF_DEFER: c_int = 2;

pub const AF_UNSPEC: c_int = 0;
pub const AF_UNIX: c_int = 1;
pub const AF_INET: c_int = 2;
/// Not Linux' number, which is 10.
pub const AF_INET6: c_int = 23;

pub const SOCK_STREAM: c_int = 1;
pub const SOCK_DGRAM: c_int = 2;
pub const SOCK_RAW: c_int = 3;
pub const SOCK_RDM: c_int = 4;
pub const SOCK_SEQPACKET: c_int = 5;

pub const IPPROTO_IP: c_int = 0;
pub const IPPROTO_TCP: c_int = 6;
pub const IPPROTO_UDP: c_int = 17;
pub const IPPROTO_IPV6: c_int = 41;

pub const WSA_FLAG_OVERLAPPED: u32 = 0x01;
pub const WSA_FLAG_MULTIPOINT_C_ROOT: u32 = 0x02;
pub const WSA_FLAG_MULTIPOINT_C_LEAF: u32 = 0x04;
pub const WSA_FLAG_MULTIPOINT_D_ROOT: u32 = 0x08;
pub const WSA_FLAG_MULTIPOINT_D_LEAF: u32 = 0x10;
pub const WSA_FLAG_ACCESS_SYSTEM_SECURITY: u32 = 0x40;
pub const WSA_FLAG_NO_HANDLE_INHERIT: u32 = 0x80;
pub const WSA_FLAG_REGISTERED_IO: u32 = 0x100;

pub const SD_RECEIVE: c_int = 0;
pub const SD_SEND: c_int = 1;
pub const SD_BOTH: c_int = 2;

pub const MSG_OOB: u32 = 0x1;
pub const MSG_PEEK: u32 = 0x2;
pub const MSG_DONTROUTE: u32 = 0x4;
pub const MSG_WAITALL: u32 = 0x8;
pub const MSG_INTERRUPT: u32 = 0x10;
pub const MSG_PUSH_IMMEDIATE: u32 = 0x20;
pub const MSG_TRUNC: u32 = 0x100;
pub const MSG_CTRUNC: u32 = 0x200;
pub const MSG_PARTIAL: u32 = 0x8000;

pub const FIONBIO: u32 = 0x8004_667E;
pub const FIONREAD: u32 = 0x4004_667F;
pub const SIOCATMARK: u32 = 0x4004_7307;
pub const SIO_KEEPALIVE_VALS: u32 = 0x9800_0004;
pub const SIO_UDP_CONNRESET: u32 = 0x9800_000C;
pub const SIO_GET_EXTENSION_FUNCTION_POINTER: u32 = 0xC800_0006;
pub const SIO_SET_SECURITY: u32 = 0x9800_00C8;
pub const SIO_QUERY_SECURITY: u32 = 0xD800_00C9;
pub const SIO_SET_PEER_TARGET_NAME: u32 = 0x9800_00CA;
pub const SIO_DELETE_PEER_TARGET_NAME: u32 = 0x9800_00CB;

pub const POLLERR: i16 = 0x1;
pub const POLLHUP: i16 = 0x2;
pub const POLLNVAL: i16 = 0x4;
pub const POLLWRNORM: i16 = 0x10;
pub const POLLWRBAND: i16 = 0x20;
pub const POLLRDNORM: i16 = 0x100;
pub const POLLRDBAND: i16 = 0x200;
pub const POLLPRI: i16 = 0x400;

pub const FD_READ: i32 = 0x01;
pub const FD_WRITE: i32 = 0x02;
pub const FD_OOB: i32 = 0x04;
pub const FD_ACCEPT: i32 = 0x08;
pub const FD_CONNECT: i32 = 0x10;
pub const FD_CLOSE: i32 = 0x20;
pub const FD_READ_BIT: usize = 0;
pub const FD_WRITE_BIT: usize = 1;
pub const FD_OOB_BIT: usize = 2;
pub const FD_ACCEPT_BIT: usize = 3;
pub const FD_CONNECT_BIT: usize = 4;
pub const FD_CLOSE_BIT: usize = 5;
pub const FD_MAX_EVENTS: usize = 10;
pub const FD_ALL_EVENTS: i32 = 0x3FF;

pub const SOL_SOCKET: c_int = 0xffff;
pub const SO_DEBUG: c_int = 0x0001;
pub const SO_ACCEPTCONN: c_int = 0x0002;
pub const SO_REUSEADDR: c_int = 0x0004;
pub const SO_KEEPALIVE: c_int = 0x0008;
pub const SO_DONTROUTE: c_int = 0x0010;
pub const SO_BROADCAST: c_int = 0x0020;
pub const SO_USELOOPBACK: c_int = 0x0040;
pub const SO_LINGER: c_int = 0x0080;
pub const SO_OOBINLINE: c_int = 0x0100;
pub const SO_DONTLINGER: c_int = !SO_LINGER;
pub const SO_EXCLUSIVEADDRUSE: c_int = !SO_REUSEADDR;
pub const SO_SNDBUF: c_int = 0x1001;
pub const SO_RCVBUF: c_int = 0x1002;
pub const SO_SNDLOWAT: c_int = 0x1003;
pub const SO_RCVLOWAT: c_int = 0x1004;
pub const SO_SNDTIMEO: c_int = 0x1005;
pub const SO_RCVTIMEO: c_int = 0x1006;
pub const SO_ERROR: c_int = 0x1007;
pub const SO_TYPE: c_int = 0x1008;
pub const SO_GROUP_ID: c_int = 0x2001;
pub const SO_GROUP_PRIORITY: c_int = 0x2002;
pub const SO_MAX_MSG_SIZE: c_int = 0x2003;
pub const SO_CONDITIONAL_ACCEPT: c_int = 0x3002;
pub const SO_PAUSE_ACCEPT: c_int = 0x3003;
pub const SO_RANDOMIZE_PORT: c_int = 0x3005;
pub const SO_PORT_SCALABILITY: c_int = 0x3006;
pub const SO_CONNECT_TIME: c_int = 0x700C;
pub const SO_UPDATE_ACCEPT_CONTEXT: c_int = 0x700B;
pub const SO_UPDATE_CONNECT_CONTEXT: c_int = 0x7010;

pub const TCP_NODELAY: c_int = 0x0001;
pub const TCP_KEEPIDLE: c_int = 3;
pub const TCP_MAXSEG: c_int = 4;
pub const TCP_KEEPCNT: c_int = 16;
pub const TCP_KEEPINTVL: c_int = 17;

pub const IP_TOS: c_int = 3;
pub const IP_TTL: c_int = 4;
pub const IP_MULTICAST_IF: c_int = 9;
pub const IP_MULTICAST_TTL: c_int = 10;
pub const IP_MULTICAST_LOOP: c_int = 11;
pub const IP_ADD_MEMBERSHIP: c_int = 12;
pub const IP_DROP_MEMBERSHIP: c_int = 13;
pub const IP_DONTFRAGMENT: c_int = 14;
pub const IP_PKTINFO: c_int = 19;
pub const IPV6_UNICAST_HOPS: c_int = 4;
pub const IPV6_MULTICAST_IF: c_int = 9;
pub const IPV6_MULTICAST_HOPS: c_int = 10;
pub const IPV6_MULTICAST_LOOP: c_int = 11;
pub const IPV6_ADD_MEMBERSHIP: c_int = 12;
pub const IPV6_DROP_MEMBERSHIP: c_int = 13;
pub const IPV6_DONTFRAG: c_int = 14;
pub const IPV6_PKTINFO: c_int = 19;
pub const IPV6_V6ONLY: c_int = 27;

pub const WAIT_OBJECT_0: u32 = 0;
pub const WAIT_IO_COMPLETION: u32 = 0xC0;
pub const WAIT_TIMEOUT: u32 = 258;
pub const WAIT_FAILED: u32 = 0xFFFF_FFFF;
pub const INFINITE: u32 = 0xFFFF_FFFF;
pub const MAXIMUM_WAIT_EVENTS: usize = 64;

pub const WSA_INVALID_HANDLE: i32 = 6;
pub const WSA_NOT_ENOUGH_MEMORY: i32 = 8;
pub const WSA_INVALID_PARAMETER: i32 = 87;
pub const WSA_OPERATION_ABORTED: i32 = 995;
pub const WSA_IO_INCOMPLETE: i32 = 996;
pub const WSA_IO_PENDING: i32 = 997;
pub const WSAEINTR: i32 = 10004;
pub const WSAEBADF: i32 = 10009;
pub const WSAEACCES: i32 = 10013;
pub const WSAEFAULT: i32 = 10014;
pub const WSAEINVAL: i32 = 10022;
pub const WSAEMFILE: i32 = 10024;
pub const WSAEWOULDBLOCK: i32 = 10035;
pub const WSAEINPROGRESS: i32 = 10036;
pub const WSAEALREADY: i32 = 10037;
pub const WSAENOTSOCK: i32 = 10038;
pub const WSAEDESTADDRREQ: i32 = 10039;
pub const WSAEMSGSIZE: i32 = 10040;
pub const WSAEPROTOTYPE: i32 = 10041;
pub const WSAENOPROTOOPT: i32 = 10042;
pub const WSAEPROTONOSUPPORT: i32 = 10043;
pub const WSAESOCKTNOSUPPORT: i32 = 10044;
pub const WSAEOPNOTSUPP: i32 = 10045;
pub const WSAEAFNOSUPPORT: i32 = 10047;
pub const WSAEADDRINUSE: i32 = 10048;
pub const WSAEADDRNOTAVAIL: i32 = 10049;
pub const WSAENETDOWN: i32 = 10050;
pub const WSAENETUNREACH: i32 = 10051;
pub const WSAENETRESET: i32 = 10052;
pub const WSAECONNABORTED: i32 = 10053;
pub const WSAECONNRESET: i32 = 10054;
pub const WSAENOBUFS: i32 = 10055;
pub const WSAEISCONN: i32 = 10056;
pub const WSAENOTCONN: i32 = 10057;
pub const WSAESHUTDOWN: i32 = 10058;
pub const WSAETIMEDOUT: i32 = 10060;
pub const WSAECONNREFUSED: i32 = 10061;
pub const WSAEHOSTDOWN: i32 = 10064;
pub const WSAEHOSTUNREACH: i32 = 10065;
pub const WSASYSNOTREADY: i32 = 10091;
pub const WSAVERNOTSUPPORTED: i32 = 10092;
pub const WSANOTINITIALISED: i32 = 10093;
pub const WSATRY_AGAIN: i32 = 11002;
pub const WSASYSCALLFAILURE: i32 = 10107;
