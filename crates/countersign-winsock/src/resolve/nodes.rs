//! The list of answers that a program holds until it frees it.

use std::ffi::{c_char, c_int};

use crate::address::Address;
use crate::wide;

/// `ADDRINFOA` and `ADDRINFOW`: the same but for the characters of the name.
#[repr(C)]
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the layout is fixed by the ABI")]
pub struct AddrInfo<C> {
    /// `AI_` flags.
    pub flags: c_int,
    /// `AF_INET` or `AF_INET6`, in Winsock's numbers.
    pub family: c_int,
    /// `SOCK_` number.
    pub socktype: c_int,
    /// `IPPROTO_` number.
    pub protocol: c_int,
    /// The size of the address.
    pub addrlen: usize,
    /// The canonical name, in the first answer only, if it was asked for.
    pub canonname: *mut C,
    /// The address.
    pub addr: *mut u8,
    /// The next answer.
    pub next: *mut Self,
}

const _: () = assert!(size_of::<AddrInfo<c_char>>() == 48 && size_of::<AddrInfo<u16>>() == 48);
const _: () = assert!(std::mem::offset_of!(AddrInfo<u16>, canonname) == 24);
const _: () = assert!(std::mem::offset_of!(AddrInfo<u16>, addr) == 32);

/// A character of a name that a program gets.
pub(super) trait Character: Copy {
    fn ended(text: &str) -> Vec<Self>;
}

impl Character for c_char {
    fn ended(text: &str) -> Vec<Self> {
        text.bytes().chain([0]).map(|byte| byte as Self).collect()
    }
}

impl Character for u16 {
    fn ended(text: &str) -> Vec<Self> {
        wide::ended(text)
    }
}

/// An answer with what it points to. The program sees the first field.
#[repr(C)]
struct Node<C> {
    info: AddrInfo<C>,
    address: Room,
    name: Option<Box<[C]>>,
}

/// Aligned as any address may have to be.
#[repr(C, align(8))]
struct Room([u8; 32]);

/// One answer, before it is laid out.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) flags: c_int,
    pub(super) socktype: c_int,
    pub(super) protocol: c_int,
    pub(super) address: Address,
    pub(super) name: Option<String>,
}

/// Lays the answers out as a list; NULL if there is none.
pub(super) fn list<C: Character>(answers: Vec<Answer>) -> *mut AddrInfo<C> {
    let mut next = std::ptr::null_mut();
    for answer in answers.into_iter().rev() {
        let encoded = answer.address.encode();
        let mut room = Room([0; 32]);
        for (to, from) in room.0.iter_mut().zip(&encoded) {
            *to = *from;
        }
        let info = AddrInfo {
            flags: answer.flags,
            family: if answer.address.ip().is_some_and(|ip| ip.is_ipv6()) {
                crate::abi::AF_INET6
            } else {
                crate::abi::AF_INET
            },
            socktype: answer.socktype,
            protocol: answer.protocol,
            addrlen: encoded.len(),
            canonname: std::ptr::null_mut(),
            addr: std::ptr::null_mut(),
            next,
        };
        let name = answer.name.map(|name| C::ended(&name).into_boxed_slice());
        let mut node = Box::new(Node { info, address: room, name });
        node.info.addr = node.address.0.as_mut_ptr();
        if let Some(name) = &mut node.name {
            node.info.canonname = name.as_mut_ptr();
        }
        next = Box::into_raw(node).cast();
    }
    next
}

/// Frees a list.
///
/// # Safety
///
/// It must be one that [`list`] made with the same kind of characters, and not be freed yet, or
/// be NULL; nobody may use it any more.
pub(super) unsafe fn free<C: Character>(mut list: *mut AddrInfo<C>) {
    while !list.is_null() {
        // SAFETY: the pointer is to the first field of a `Node` that `list` boxed, and the caller
        // vouches that it is used no more.
        let node = unsafe { Box::from_raw(list.cast::<Node<C>>()) };
        list = node.info.next;
    }
}
