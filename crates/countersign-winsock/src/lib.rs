//! The C interface of Countersign: Winsock's secure socket extensions under their own names.
//!
//! ```text
//! C or C++ ── include/winsock/*.h ──▶ extern "C" ── boundary ──▶ table ──▶ entry ──▶ countersign
//!                                     pointers checked here       │          └── kernel (plain)
//!                                                                 └── reactor: overlapped, events
//! ```
//!
//! A `SOCKET` is a descriptor. Sockets on which neither security nor a name was set are plain
//! ones of the kernel; the others are sockets of the crate `countersign`.
//!
//! Every pointer and length that comes in is an allegation: what cannot be true is answered with
//! the documented error. No panic leaves a function of this crate. What it cannot find out is
//! whether a pointer that is not NULL points to memory that is there.
//!
//! It does not emulate Windows beyond these functions: there are no service providers, no
//! completion ports, no windows that get messages.

#![expect(unsafe_code, reason = "this crate is the boundary to C")]
#![warn(missing_docs, clippy::missing_safety_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

pub mod abi;

mod accept;

mod address;

mod alerts;

mod boundary;

mod calls;
pub use calls::{
    CreateEventA, CreateEventW, GetLastError, ResetEvent, SetEvent, SetLastError, Sleep, SleepEx,
    WSAAccept, WSACloseEvent, WSAConnect, WSACreateEvent, WSADeleteSocketPeerTargetName,
    WSADuplicateSocketA, WSADuplicateSocketW, WSAEnumNetworkEvents, WSAEventSelect,
    WSAGetOverlappedResult, WSAImpersonateSocketPeer, WSAIoctl, WSAPoll, WSAQuerySocketSecurity,
    WSARecv, WSARecvDisconnect, WSARecvFrom, WSARecvMsg, WSAResetEvent, WSARevertImpersonation,
    WSASend, WSASendDisconnect, WSASendMsg, WSASendTo, WSASetEvent, WSASetSocketPeerTargetName,
    WSASetSocketSecurity, WSASocketA, WSASocketW, WSAWaitForMultipleEvents, WaitForMultipleObjects,
    WaitForMultipleObjectsEx, WaitForSingleObject, WaitForSingleObjectEx, countersign_ws_accept,
    countersign_ws_bind, countersign_ws_closesocket, countersign_ws_connect,
    countersign_ws_getpeername, countersign_ws_getsockname, countersign_ws_getsockopt,
    countersign_ws_ioctlsocket, countersign_ws_listen, countersign_ws_recv,
    countersign_ws_recvfrom, countersign_ws_select, countersign_ws_send, countersign_ws_sendto,
    countersign_ws_setsockopt, countersign_ws_shutdown, countersign_ws_socket,
};

mod connect;

#[doc(hidden)]
pub mod decode;

mod encode;

mod entry;

mod event;

mod failure;
pub use failure::Failure;

mod handle;

mod inet;
pub use inet::{
    InetNtopW, InetPtonW, countersign_ws_inet_addr, countersign_ws_inet_ntoa,
    countersign_ws_inet_ntop, countersign_ws_inet_pton,
};

mod kernel;

pub mod layout;

mod last_error;
pub use last_error::{CountersignLastErrorText, WSAGetLastError, WSASetLastError};

mod messages;

mod network_events;

mod operations;

mod pieces;

mod query;

mod reactor;

mod readiness;

mod resolve;
pub use resolve::{
    AddrInfo, FreeAddrInfoW, GetAddrInfoW, GetHostNameW, GetNameInfoW, HostEntry,
    countersign_ws_freeaddrinfo, countersign_ws_getaddrinfo, countersign_ws_gethostbyname,
    countersign_ws_gethostname, countersign_ws_getnameinfo,
};

mod security;

mod socket_text;
pub use socket_text::{
    WSAAddressToStringA, WSAAddressToStringW, WSAStringToAddressA, WSAStringToAddressW,
};

mod spn;
pub use spn::{DsMakeSpnA, DsMakeSpnW};

mod startup;
pub use startup::{WSACleanup, WSAStartup};

mod status;

mod table;

mod text;
pub use text::CountersignErrorText;

mod token;
pub use token::{CloseHandle, ImpersonateLoggedOnUser, RevertToSelf};

mod transfer;

mod waker;

mod wide;
