//! The structures of the security functions (SPEC 2) and their numbers (SPEC 1), as C lays them out.
//!
//! Nobody reads memory through these structures: programs pass buffers that may be short or misaligned,
//! so `decode` and `encode` go by the offsets that are stated, and checked, here. The same offsets
//! are checked in `include/winsock/countersign/checks.h`.

#![expect(missing_docs, reason = "names, fields and meanings are Winsock's own")]
#![expect(clippy::exhaustive_structs, reason = "layouts are fixed by the ABI")]

use std::mem::offset_of;

pub const SOCKET_SECURITY_PROTOCOL_DEFAULT: u32 = 0;
pub const SOCKET_SECURITY_PROTOCOL_IPSEC: u32 = 1;
pub const SOCKET_SECURITY_PROTOCOL_IPSEC2: u32 = 2;
pub const SOCKET_SECURITY_PROTOCOL_INVALID: u32 = 3;

pub const SOCKET_SETTINGS_GUARANTEE_ENCRYPTION: u32 = 0x1;
pub const SOCKET_SETTINGS_ALLOW_INSECURE: u32 = 0x2;

pub const SOCKET_SETTINGS_IPSEC_SKIP_FILTER_INSTANTIATION: u32 = 0x1;
pub const SOCKET_SETTINGS_IPSEC_OPTIONAL_PEER_NAME_VERIFICATION: u32 = 0x2;
pub const SOCKET_SETTINGS_IPSEC_ALLOW_FIRST_INBOUND_PKT_UNENCRYPTED: u32 = 0x4;
pub const SOCKET_SETTINGS_IPSEC_PEER_NAME_IS_RAW_FORMAT: u32 = 0x8;

pub const SOCKET_QUERY_IPSEC2_ABORT_CONNECTION_ON_FIELD_CHANGE: u32 = 0x1;
pub const SOCKET_QUERY_IPSEC2_FIELD_MASK_MM_SA_ID: u32 = 0x1;
pub const SOCKET_QUERY_IPSEC2_FIELD_MASK_QM_SA_ID: u32 = 0x2;

pub const SOCKET_INFO_CONNECTION_SECURED: u32 = 0x1;
pub const SOCKET_INFO_CONNECTION_ENCRYPTED: u32 = 0x2;
pub const SOCKET_INFO_CONNECTION_IMPERSONATED: u32 = 0x4;

/// `GUID`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GUID {
    pub data1: u32,
    pub data2: u16,
    pub data3: u16,
    pub data4: [u8; 8],
}

/// `SOCKADDR_STORAGE`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SOCKADDR_STORAGE {
    pub family: u16,
    pub rest: [u8; 126],
}

/// `SOCKET_SECURITY_SETTINGS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_SETTINGS {
    pub security_protocol: u32,
    pub security_flags: u32,
}

/// `SOCKET_SECURITY_SETTINGS_IPSEC`. The strings begin in the last four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_SETTINGS_IPSEC {
    pub security_protocol: u32,
    pub security_flags: u32,
    pub ipsec_flags: u32,
    pub authip_mm_policy_key: GUID,
    pub authip_qm_policy_key: GUID,
    pub reserved: GUID,
    pub reserved2: u64,
    pub user_name_string_len: u32,
    pub domain_name_string_len: u32,
    pub password_string_len: u32,
    pub all_strings: [u16; 0],
}

/// `SOCKET_PEER_TARGET_NAME`. The string begins in the last four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_PEER_TARGET_NAME {
    pub security_protocol: u32,
    pub peer_address: SOCKADDR_STORAGE,
    pub peer_target_name_string_len: u32,
    pub all_strings: [u16; 0],
}

/// `SOCKET_SECURITY_QUERY_TEMPLATE`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_QUERY_TEMPLATE {
    pub security_protocol: u32,
    pub peer_address: SOCKADDR_STORAGE,
    pub peer_token_access_mask: u32,
}

/// `SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2 {
    pub security_protocol: u32,
    pub peer_address: SOCKADDR_STORAGE,
    pub peer_token_access_mask: u32,
    pub flags: u32,
    pub field_mask: u32,
}

/// `SOCKET_SECURITY_QUERY_INFO`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_QUERY_INFO {
    pub security_protocol: u32,
    pub flags: u32,
    pub peer_application_access_token_handle: u64,
    pub peer_machine_access_token_handle: u64,
}

/// `SOCKET_SECURITY_QUERY_INFO_IPSEC2`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SOCKET_SECURITY_QUERY_INFO_IPSEC2 {
    pub security_protocol: u32,
    pub flags: u32,
    pub peer_application_access_token_handle: u64,
    pub peer_machine_access_token_handle: u64,
    pub mm_sa_id: u64,
    pub qm_sa_id: u64,
    pub negotiation_winerr: u32,
    pub sa_lookup_context: GUID,
}

/// Checks size, alignment and offsets of a structure when it is compiled.
macro_rules! layout {
    ($name:ty, $size:literal, $align:literal $(, $field:ident @ $offset:literal)* $(,)?) => {
        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == $align);
        $(const _: () = assert!(offset_of!($name, $field) == $offset);)*
    };
}

layout!(GUID, 16, 4, data1 @ 0, data2 @ 4, data3 @ 6, data4 @ 8);
layout!(SOCKADDR_STORAGE, 128, 8, family @ 0);
layout!(SOCKET_SECURITY_SETTINGS, 8, 4, security_protocol @ 0, security_flags @ 4);
layout!(
    SOCKET_SECURITY_SETTINGS_IPSEC, 88, 8,
    security_protocol @ 0, security_flags @ 4, ipsec_flags @ 8, authip_mm_policy_key @ 12,
    authip_qm_policy_key @ 28, reserved @ 44, reserved2 @ 64, user_name_string_len @ 72,
    domain_name_string_len @ 76, password_string_len @ 80, all_strings @ 84,
);
layout!(
    SOCKET_PEER_TARGET_NAME, 144, 8,
    security_protocol @ 0, peer_address @ 8, peer_target_name_string_len @ 136, all_strings @ 140,
);
layout!(
    SOCKET_SECURITY_QUERY_TEMPLATE, 144, 8,
    security_protocol @ 0, peer_address @ 8, peer_token_access_mask @ 136,
);
layout!(
    SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2, 152, 8,
    security_protocol @ 0, peer_address @ 8, peer_token_access_mask @ 136, flags @ 140,
    field_mask @ 144,
);
layout!(
    SOCKET_SECURITY_QUERY_INFO, 24, 8,
    security_protocol @ 0, flags @ 4, peer_application_access_token_handle @ 8,
    peer_machine_access_token_handle @ 16,
);
layout!(
    SOCKET_SECURITY_QUERY_INFO_IPSEC2, 64, 8,
    security_protocol @ 0, flags @ 4, peer_application_access_token_handle @ 8,
    peer_machine_access_token_handle @ 16, mm_sa_id @ 24, qm_sa_id @ 32, negotiation_winerr @ 40,
    sa_lookup_context @ 44,
);

/// What `abi` defines is as fixed as what is here.
mod of_calls {
    use std::mem::offset_of;

    use crate::abi::{
        LINGER, WSABUF, WSACMSGHDR, WSADATA, WSAMSG, WSANETWORKEVENTS, WSAOVERLAPPED, WSAPOLLFD,
    };

    layout!(WSABUF, 16, 8, len @ 0, buf @ 8);
    layout!(WSAOVERLAPPED, 32, 8, internal @ 0, internal_high @ 8, offset @ 16, event @ 24);
    layout!(
        WSAMSG, 56, 8,
        name @ 0, namelen @ 8, buffers @ 16, buffer_count @ 24, control @ 32, flags @ 48,
    );
    layout!(WSACMSGHDR, 16, 8, len @ 0, level @ 8, kind @ 12);
    layout!(WSAPOLLFD, 16, 8, fd @ 0, events @ 8, revents @ 10);
    layout!(WSANETWORKEVENTS, 44, 4, network_events @ 0, error_code @ 4);
    layout!(LINGER, 4, 2, onoff @ 0, linger @ 2);
    layout!(
        WSADATA, 408, 8,
        version @ 0, high_version @ 2, max_sockets @ 4, max_udp_dg @ 6, vendor_info @ 8,
        description @ 16, system_status @ 273,
    );
}
