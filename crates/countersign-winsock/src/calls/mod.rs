//! The functions that C calls, by what they are about. Each reads its arguments, in the order of
//! SPEC 3, and leaves the work to the modules beside this one.

mod events;
pub use events::{
    CreateEventA, CreateEventW, GetLastError, ResetEvent, SetEvent, SetLastError, Sleep, SleepEx,
    WSACloseEvent, WSACreateEvent, WSAEnumNetworkEvents, WSAEventSelect, WSAGetOverlappedResult,
    WSAResetEvent, WSASetEvent, WSAWaitForMultipleEvents, WaitForMultipleObjects,
    WaitForMultipleObjectsEx, WaitForSingleObject, WaitForSingleObjectEx,
};

mod ioctl;
pub use ioctl::{WSAIoctl, countersign_ws_ioctlsocket};

mod lifecycle;
pub(crate) use lifecycle::close;
pub use lifecycle::{
    WSAAccept, WSAConnect, WSADuplicateSocketA, WSADuplicateSocketW, WSARecvDisconnect,
    WSASendDisconnect, WSASocketA, WSASocketW, countersign_ws_accept, countersign_ws_bind,
    countersign_ws_closesocket, countersign_ws_connect, countersign_ws_getpeername,
    countersign_ws_getsockname, countersign_ws_listen, countersign_ws_shutdown,
    countersign_ws_socket,
};

mod many;
pub use many::{WSAPoll, countersign_ws_select};

mod options;
pub use options::{countersign_ws_getsockopt, countersign_ws_setsockopt};

mod security;
pub use security::{
    WSADeleteSocketPeerTargetName, WSAImpersonateSocketPeer, WSAQuerySocketSecurity,
    WSARevertImpersonation, WSASetSocketPeerTargetName, WSASetSocketSecurity,
};

mod traffic;
pub use traffic::{
    WSARecv, WSARecvFrom, WSARecvMsg, WSASend, WSASendMsg, WSASendTo, countersign_ws_recv,
    countersign_ws_recvfrom, countersign_ws_send, countersign_ws_sendto,
};
