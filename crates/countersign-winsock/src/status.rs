//! What `Internal` of an `OVERLAPPED` says: the status codes of Windows (NTSTATUS), of which the
//! public header gives the values, and Winsock's numbers for them.

use crate::abi;

/// The operation goes on (STATUS_PENDING).
pub(crate) const PENDING: usize = 0x103;

const PAIRS: [(usize, i32); 14] = [
    (0, 0),
    (PENDING, abi::WSA_IO_INCOMPLETE),
    (0xC000_0120, abi::WSA_OPERATION_ABORTED),
    (0xC000_0022, abi::WSAEACCES),
    (0xC000_0005, abi::WSAEFAULT),
    (0xC000_000D, abi::WSAEINVAL),
    (0x8000_0005, abi::WSAEMSGSIZE),
    (0xC000_00BB, abi::WSAEOPNOTSUPP),
    (0xC000_0241, abi::WSAECONNABORTED),
    (0xC000_020D, abi::WSAECONNRESET),
    (0xC000_020C, abi::WSAENOTCONN),
    (0xC000_00B5, abi::WSAETIMEDOUT),
    (0xC000_0236, abi::WSAECONNREFUSED),
    (0xC000_0008, abi::WSAENOTSOCK),
];

/// Marks a status that carries Winsock's number itself (the bit is reserved for customers).
const OURS: usize = 0xE000_0000;

/// Returns the status for one of Winsock's numbers.
pub(crate) fn of(code: i32) -> usize {
    let known = PAIRS.iter().find(|(_, number)| *number == code);
    let ours = OURS | (code.cast_unsigned() as usize & 0xFFFF);
    known.map_or(ours, |(status, _)| *status)
}

/// Returns Winsock's number for a status.
pub(crate) fn code(status: usize) -> i32 {
    let status = status & 0xFFFF_FFFF;
    if let Some((_, code)) = PAIRS.iter().find(|(known, _)| *known == status) {
        return *code;
    }
    if status & 0xFFFF_0000 == OURS {
        return i32::try_from(status & 0xFFFF).unwrap_or(abi::WSASYSCALLFAILURE);
    }
    abi::WSASYSCALLFAILURE
}

#[cfg(test)]
mod tests {
    use super::{code, of};
    use crate::abi;

    #[test]
    fn every_number_comes_back() {
        for number in (10_004..10_120).chain([0, abi::WSA_OPERATION_ABORTED]) {
            assert_eq!(code(of(number)), number);
        }
        assert_eq!((of(0), of(abi::WSA_OPERATION_ABORTED)), (0, 0xC000_0120));
    }
}
